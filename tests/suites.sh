# The suites of tests/run: each function runs one, with its output as the suite's log. It sets
# `tally` if a report is to be counted, or `reason` if it cannot run here.

cargo_build_seconds=1800
suite_seconds=1500

# What keeps suites with real servers from running, if anything.
world_obstacle() {
  if [ "$(id -u)" != 0 ]; then
    echo "needs root: network namespaces, file owners, an NFS server"
  elif ! tests/world/enter.sh true 2>/dev/null; then
    echo "this machine allows no network, process and mount namespaces (try: tests/world/enter.sh true)"
  fi
}

# Whether the world's servers can be used; sets `reason` otherwise.
world() {
  reason=$(world_obstacle)
  [ -z "$reason" ]
}

# binaries PROFILE: builds the programs and puts them where tests look, so that a second run on
# the same cache cannot swap them.
binaries() {
  local profile=$1 folder=debug flags=()
  if [ "$profile" = release ]; then folder=release flags=(--release); fi
  local into=$work/$profile
  if [ ! -d "$into" ]; then
    exec 8>"$cache/build.lock"
    flock 8
    bounded $cargo_build_seconds cargo build --workspace --bins --locked "${flags[@]}" 8>&- ||
      return 1
    mkdir -p "$into.new"
    find "$CARGO_TARGET_DIR/$folder" -maxdepth 1 -type f -executable -exec cp -t "$into.new" {} + &&
      mv "$into.new" "$into"
    exec 8>&-
  fi
  ln -sfn "$into" "$DATASYNC_BIN_DIR"
}

# pytest_suite NAME SECONDS ARGUMENT…: in a world of its own, where the command `beside` starts it.
pytest_suite() {
  local name=$1 seconds=$2
  shift 2
  tally=(junit "$logs/$name.xml")
  PATH=$cache/venv/bin:$PATH DATASYNC_LOGS=$logs/$name bounded "$seconds" tests/world/enter.sh \
    ${beside:-} "$cache/venv/bin/python" -m pytest -p no:cacheprovider \
    --basetemp="$work/data-$name" --junitxml="$logs/$name.xml" -rs "$@"
  local result=$?
  rm -rf "$work/data-$name"
  return $result
}

suite_fmt() {
  cargo fmt --all --check -- -l
}

suite_clippy() {
  bounded $cargo_build_seconds cargo clippy --workspace --all-targets --locked -- -D warnings
}

# isolated SECONDS COMMAND…: in a world of its own where that is possible, so that a test that
# leaves a process behind leaves it to nobody.
isolated() {
  local seconds=$1
  shift
  if [ -n "$(world_obstacle)" ]; then
    bounded "$seconds" "$@"
  else
    bounded "$seconds" tests/world/enter.sh "$@"
  fi
}

suite_unit() {
  local run
  if cargo nextest --version >/dev/null 2>&1; then
    tally=(nextest "$logs/unit.log")
    run=(cargo nextest run --workspace --locked)
  else
    notes+=("unit: cargo-nextest is not installed: run by cargo test instead")
    tally=(libtest "$logs/unit.log")
    run=(cargo test --workspace --lib --bins --tests --locked)
  fi
  bounded $cargo_build_seconds "${run[@]}" --no-run &&
    isolated $suite_seconds "${run[@]}" --offline --no-fail-fast
}

suite_doctest() {
  tally=(libtest "$logs/doctest.log")
  bounded $cargo_build_seconds cargo test --workspace --doc --locked --no-fail-fast
}

# Ignored tests in the test binary named servers: they need an NFS server. They are run beside
# nfs-ganesha, which is started for each version of NFS, and in a guest with the Linux kernel's
# server, by themselves: cargo would take longer there than they do.
suite_nfs() {
  world || return 0
  local cargo=(cargo test -p datasync-nfs --test servers --locked) result=0 binary
  bounded $cargo_build_seconds "${cargo[@]}" --no-run >"$logs/nfs-build.log" 2>&1
  cat "$logs/nfs-build.log"
  binary=$(sed -n 's/^ *Executable .*(\(.*\))$/\1/p' "$logs/nfs-build.log")
  [ -x "$binary" ] || return 1
  tally=(libtest "$logs/nfs.log")
  bounded $suite_seconds \
    tests/world/versions.sh tests/world/ganesha.sh run -- "$binary" --ignored || result=1
  if install_packages "${packages_kernel[@]}"; then
    echo "--- the kernel's server"
    bounded $suite_seconds \
      tests/world/kernel.sh run -- tests/world/versions.sh "$binary" --ignored || result=1
  else
    notes+=("nfs: user-mode-linux cannot be installed: the kernel's NFS server is not tried")
  fi
  return $result
}

suite_api() {
  world || return 0
  binaries debug && pytest_suite api 900 control/tests
}

suite_store() {
  world || return 0
  binaries debug && pytest_suite store 600 quickstart/store/tests
}

suite_e2e() {
  world || return 0
  install_packages "${packages_kernel[@]}" ||
    echo "user-mode-linux cannot be installed: its tests are skipped"
  binaries debug || return 1
  tally=(junit "$logs/e2e-1.xml" junit "$logs/e2e-2.xml")
  PATH=$cache/venv/bin:$PATH bounded 2400 tests/world/halves.sh "$logs/e2e" \
    "$cache/venv/bin/python" -m pytest -p no:cacheprovider -rs tests/e2e
}

suite_docs() {
  world || return 0
  binaries debug && pytest_suite docs $suite_seconds tests/docs
}

# static PROFILE: builds what is in the images.
static() {
  local folder
  install_packages "${packages_image[@]}" || return 1
  folder=$CARGO_TARGET_DIR/$(uname -m)-unknown-linux-musl/${1/#dev/debug}
  export DATASYNC_STATIC=$work/static-$1
  exec 8>"$cache/build.lock"
  flock 8
  bounded $cargo_build_seconds image/compile --profile "$1" "$work/image-$1" 8>&- &&
    mkdir -p "$DATASYNC_STATIC" &&
    cp "$folder/datasync-agent" "$folder/datasync-control" "$DATASYNC_STATIC"
  local result=$?
  exec 8>&-
  return $result
}

# manual: man pages and completions, as the programs in $DATASYNC_BIN_DIR have them.
manual() {
  export DATASYNC_MANUAL=$work/manual
  "$DATASYNC_BIN_DIR/datasync-manual" "$DATASYNC_MANUAL"
}

# The images with programs that are built fast; `dist` with those that are shipped.
suite_image() {
  world || return 0
  binaries debug && static dev && pytest_suite image $suite_seconds tests/image
}

suite_dist() {
  world || return 0
  # Optimised as a whole, on one core for the most part.
  local cargo_build_seconds=5400
  # The programs are compiled once more there.
  binaries debug && static dist && pytest_suite dist 5400 tests/image --dist
}

# The images once more, with programs that are compiled in a container.
suite_builder() {
  reason=$(world_obstacle)
  [ -z "$reason" ] || return 0
  install_packages "${packages_image[@]}" mmdebstrap &&
    bounded 3600 tests/image/builder "$work/builder" dev
}

# In the normal run one machine, from power-on to a finished transfer; by name or with --full all of them.
suite_vm() {
  world || return 0
  local tests=(tests/vm) seconds=3600
  if [ -z "$full" ] && [ ${#chosen[@]} = 0 ]; then
    if [ $SECONDS -gt $vm_begins_max ]; then
      reason="$SECONDS s are over, and it takes up to 15 minutes: tests/run vm"
      return
    fi
    tests=(tests/vm/test_appliance.py tests/vm/test_images.py) seconds=1150
    notes+=("vm: machines without a seed, by NoCloud and by other devices: only with --full or by name")
  fi
  if [ ! -c /dev/net/tun ]; then
    reason="the machine has no /dev/net/tun"
    return
  fi
  if ! install_packages "${packages_vm[@]}"; then
    reason="the packages that build and run virtual machines cannot be installed"
    return
  fi
  # The base disk needs the network: the world in which the tests run has none.
  bounded $cargo_build_seconds packer/base --cache "$cache/vm" && binaries debug && static dev &&
    manual && pytest_suite vm $seconds "${tests[@]}"
}

# The previous release with this one, each as agent and as control.
suite_skew() {
  world || return 0
  local result
  bounded 3600 tests/skew/previous "$cache/previous" >"$logs/skew-previous" 2>"$logs/skew-build.log"
  result=$?
  cat "$logs/skew-build.log"
  if [ $result = 3 ]; then
    reason=$(tail -n 1 "$logs/skew-build.log")
    return
  fi
  [ $result = 0 ] && binaries debug || return 1
  DATASYNC_PREVIOUS_BIN_DIR=$(cat "$logs/skew-previous") pytest_suite skew $suite_seconds tests/skew
}

suite_deny() {
  if ! cargo deny --version >/dev/null 2>&1; then
    reason="cargo-deny is not installed (cargo install cargo-deny --locked)"
    return
  fi
  if ! bounded 120 cargo deny --locked fetch; then
    notes+=("deny: the advisory database cannot be fetched: advisories are not checked")
    bounded 300 cargo deny --locked check bans licenses sources
  else
    bounded 300 cargo deny --locked check
  fi
}

suite_radosgw() {
  world || return 0
  if ! install_packages "${packages_full[@]}"; then
    reason="the packages of radosgw cannot be installed"
    return
  fi
  local run=(cargo test -p datasync-s3 --test radosgw --locked)
  bounded $cargo_build_seconds "${run[@]}" --no-run && binaries debug || return 1
  PATH=$cache/venv/bin:$PATH bounded $suite_seconds tests/world/enter.sh tests/world/radosgw.sh \
    "${run[@]}" --offline -- --ignored >"$logs/radosgw-crate.log" 2>&1
  local result=$?
  cat "$logs/radosgw-crate.log"
  local beside=tests/world/radosgw.sh
  pytest_suite radosgw $suite_seconds tests/e2e/test_radosgw.py --radosgw || result=1
  tally+=(libtest "$logs/radosgw-crate.log")
  return $result
}

suite_large() {
  world || return 0
  binaries release && pytest_suite large 10800 --large -m large tests/e2e/test_large.py \
    tests/e2e/test_directions.py tests/e2e/test_wide_and_deep.py
}

suite_memory() {
  world || return 0
  binaries release && pytest_suite memory 3600 --large tests/e2e/test_memory.py
}

suite_bench() {
  world || return 0
  binaries release && PATH=$cache/venv/bin:$PATH bounded $suite_seconds tests/bench/run --smoke
}
