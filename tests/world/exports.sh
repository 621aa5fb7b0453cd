# The exports that the tests of the NFS client read, whichever server has them. Sourced.

# make_tree DIRECTORY: `tree` and `squashed` in it, with every kind of entry and of name that a file
# system here can hold.
make_tree() {
    local tree=$1/tree squashed=$1/squashed long
    mkdir -p "$tree/odd" "$tree/many" "$tree/deep/below/it" "$tree/empty" "$tree/closed" \
        "$tree/scratch" "$squashed"
    (
        cd "$tree/odd"
        long=$(printf 'x%.0s' {1..255})
        for name in 'a b' $'new\nline' $'carriage\rreturn' $'\x01' $'nfc-\xc3\xa9' $'nfd-e\xcc\x81' \
            $'not-utf8-\xff\xfe' $'\xef\xbf\xbe' '%41' 'a+b' 'a#b' 'a&b' 'back\slash' "$long" \
            'a' 'a-b' 'a.txt' ' ' '~' '*'; do
            printf '%s' "$name" >"./$name"
        done
    )
    printf 'hello\n' >"$tree/hello"
    chown 1234:567 "$tree/hello"
    chmod 4751 "$tree/hello" # after chown, which clears the set-user-id bit
    touch -d '2031-02-03 04:05:06.123456789 UTC' "$tree/hello"
    : >"$tree/nothing"
    ln -s '../target of a link' "$tree/link"
    ln "$tree/hello" "$tree/hard"
    mkfifo "$tree/fifo"
    truncate -s 5G "$tree/sparse"
    printf 'end' | dd of="$tree/sparse" bs=1 seek=$((5 * 1024 * 1024 * 1024 - 3)) conv=notrunc status=none
    head -c $((64 * 1024 * 1024)) /dev/urandom >"$tree/large"
    printf 'secret' >"$tree/closed/file"
    chmod 0700 "$tree/closed"
    (cd "$tree/many" && seq -f 'file-%05g' 1 20000 | xargs touch)
    printf 'private' >"$squashed/private"
    chmod 0600 "$squashed/private"
    printf 'public' >"$squashed/public"
}
