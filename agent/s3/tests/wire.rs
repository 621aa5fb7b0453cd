//! What is on the wire, and what becomes of scripted answers: the sink speaks HTTP by hand.

#![allow(clippy::unwrap_used, reason = "the helpers of tests may panic too")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use bytes::Bytes;
use datasync_endpoint::{
    Crc64, Destination, Effect, ErrorKind, Integrity, Key, ObjectHeader, ObjectState, PartReceipt,
    Payload, PosixMetadata, Unpaced, UploadId,
};
use datasync_model::{S3Location, StorageClass};
use datasync_s3::{S3Config, S3Destination};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What the sink answers to one request.
#[derive(Debug, Clone)]
enum Answer {
    /// Status, headers, body.
    Reply(u16, &'static str, String),
    Hang,
    /// Closes in the middle of the request's body.
    Cut,
}

#[derive(Debug, Clone)]
struct Request {
    /// Method and target.
    line: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.iter();
        all.find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }
}

#[derive(Debug, Default)]
struct Script {
    answers: Mutex<VecDeque<Answer>>,
    seen: Mutex<Vec<Request>>,
}

const OK_PUT: &str = "etag: \"e\"\r\n";
const LIST: &str = "<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated></ListBucketResult>";

const UPLOADS: &str =
    "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>";

fn error_body(code: &str) -> String {
    format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>so it is</Message></Error>")
}

/// Answers the probe as AWS would. `None`: not a request of the probe.
fn probe_answer(request: &Request) -> Option<Answer> {
    let reply = |status, headers, body: &str| Some(Answer::Reply(status, headers, body.to_owned()));
    let (method, target) = request.line.split_once(' ')?;
    if method == "GET" && target.contains("list-type=2") {
        return reply(200, "", LIST);
    }
    if !target.contains(".aws-datasync") {
        return None;
    }
    if method == "GET" && target.contains("uploads") {
        return reply(200, "", UPLOADS);
    }
    let right = "UqajRbcG8sk=";
    let crc = request.header("x-amz-checksum-crc64nvme");
    match method {
        "PUT" if request.header("if-none-match").is_some() => reply(412, "", ""),
        "PUT" if crc == Some(RIGHT.get().map_or(right, String::as_str)) => reply(200, OK_PUT, ""),
        "PUT" => reply(400, "", &error_body("BadDigest")),
        "HEAD" => Some(Answer::Reply(
            200,
            HEAD.get().map_or("", |head| head),
            String::new(),
        )),
        "POST" => reply(
            200,
            "",
            "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>",
        ),
        _ => reply(204, "", ""),
    }
}

/// The checksum of the probe's content, learned from its second put.
static RIGHT: std::sync::OnceLock<String> = std::sync::OnceLock::new();
static HEAD: std::sync::OnceLock<&'static str> = std::sync::OnceLock::new();

struct Sink {
    endpoint: String,
    script: Arc<Script>,
    _server: JoinSet<()>,
}

impl Sink {
    async fn start() -> Self {
        use base64::Engine as _;
        let content = b"Written and deleted by DataSync to learn what this store verifies.\n";
        let text =
            base64::engine::general_purpose::STANDARD.encode(Crc64::of(content).0.to_be_bytes());
        HEAD.get_or_init(|| {
            format!(
                "etag: \"e\"\r\nx-amz-checksum-crc64nvme: {text}\r\nx-amz-checksum-type: FULL_OBJECT\r\n\
                 x-amz-meta-file-owner: 1000\r\nx-amz-meta-file-permissions: 0100644\r\n\
                 x-amz-meta-file-mtime: 1595002920123456789ns\r\n"
            )
            .leak()
        });
        RIGHT.get_or_init(|| text);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let script = Arc::new(Script::default());
        let mut server = JoinSet::new();
        let shared = Arc::clone(&script);
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let script = Arc::clone(&shared);
                connections.spawn(async move {
                    // A client that goes away is part of the tests.
                    serve(stream, &script).await.ok();
                });
            }
        });
        Self {
            endpoint,
            script,
            _server: server,
        }
    }

    async fn open(&self) -> S3Destination {
        let destination = S3Destination::open(self.config()).await.unwrap();
        self.script.seen.lock().unwrap().clear();
        destination
    }

    fn config(&self) -> S3Config {
        S3Config {
            location: S3Location {
                arn: "arn:aws:datasync:us-east-1:111122223333:location/loc-0123456789abcdef0"
                    .parse()
                    .unwrap(),
                bucket: "bucket".to_owned(),
                prefix: "p/".to_owned(),
                region: None,
                endpoint: Some(self.endpoint.clone()),
                server_certificate: None,
                storage_class: StorageClass::StandardIa,
            },
            credentials: SharedCredentialsProvider::new(Credentials::new(
                "AKID",
                "SECRET",
                Some("TOKEN".to_owned()),
                None,
                "test",
            )),
            object_max: None,
            request_timeout: Duration::from_millis(700),
            requests_max: 4,
        }
    }

    fn answer(&self, answer: Answer) {
        self.script.answers.lock().unwrap().push_back(answer);
    }

    fn seen(&self) -> Vec<Request> {
        self.script.seen.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, script: &Script) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
        buffer.drain(..end);
        let mut lines = head.lines();
        let first = lines.next().unwrap_or_default();
        let mut request = Request {
            line: first.trim_end_matches(" HTTP/1.1").to_owned(),
            headers: lines
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect(),
            body: Vec::new(),
        };
        let scripted = match probe_answer(&request) {
            None => script.answers.lock().unwrap().pop_front(),
            answer => script.answers.lock().unwrap().pop_front().or(answer),
        };
        if matches!(scripted, Some(Answer::Cut)) {
            if buffer.is_empty() {
                stream.read_buf(&mut buffer).await?;
            }
            return Ok(());
        }
        let length: usize = request
            .header("content-length")
            .map_or(0, |n| n.parse().unwrap());
        while buffer.len() < length {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
        request.body = buffer.drain(..length).collect();
        let bodiless = request.line.starts_with("HEAD");
        script.seen.lock().unwrap().push(request);
        match scripted.unwrap_or(Answer::Reply(200, OK_PUT, String::new())) {
            Answer::Hang | Answer::Cut => std::future::pending().await,
            Answer::Reply(status, headers, body) => {
                let body = if bodiless { String::new() } else { body };
                let length = if status == 204 || bodiless {
                    String::new()
                } else {
                    format!("content-length: {}\r\n", body.len())
                };
                let text = format!("HTTP/1.1 {status} Answer\r\n{headers}{length}\r\n{body}");
                stream.write_all(text.as_bytes()).await?;
            }
        }
    }
}

fn payload(content: &[u8]) -> Payload {
    Payload {
        chunks: content.chunks(1000).map(Bytes::copy_from_slice).collect(),
        length: content.len() as u64,
        crc64: Crc64::of(content),
        pace: Arc::new(Unpaced),
    }
}

fn header() -> ObjectHeader {
    ObjectHeader {
        metadata: PosixMetadata {
            owner: Some(7),
            ..PosixMetadata::default()
        },
        storage_class: None,
        only_if_absent: true,
    }
}

fn key(text: &str) -> Key {
    Key::from_listing(text.to_owned())
}

fn assert_unsigned_with_crc64(request: &Request, content: &[u8]) {
    assert_eq!(
        request.body, content,
        "the body is sent as it is, not in aws-chunked"
    );
    assert_eq!(
        request.header("x-amz-content-sha256"),
        Some("UNSIGNED-PAYLOAD")
    );
    let sent = request.header("x-amz-checksum-crc64nvme").unwrap();
    assert_eq!(base64_of(Crc64::of(content)), sent);
    let length = content.len().to_string();
    assert_eq!(request.header("content-length"), Some(length.as_str()));
    for absent in [
        "x-amz-trailer",
        "content-encoding",
        "transfer-encoding",
        "content-md5",
    ] {
        assert_eq!(request.header(absent), None, "{absent}");
    }
    for (name, _) in &request.headers {
        assert!(
            !name.starts_with("x-amz-checksum-") || name == "x-amz-checksum-crc64nvme",
            "{name}"
        );
    }
    assert_eq!(request.header("x-amz-security-token"), Some("TOKEN"));
}

fn base64_of(crc64: Crc64) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(crc64.0.to_be_bytes())
}

#[tokio::test]
async fn puts_carry_the_checksum_in_a_header_and_nothing_is_signed_twice() {
    let sink = Sink::start().await;
    let destination = sink.open().await;
    assert_eq!(destination.abilities().integrity, Integrity::Crc64);
    let small = b"123456789".to_vec();
    let large = vec![7u8; 3 << 20];
    for content in [&small, &large] {
        destination
            .put(&key("a b+c\u{1}é"), &header(), payload(content))
            .await
            .unwrap();
        let seen = sink.seen();
        let put = seen
            .iter()
            .rfind(|request| request.line.starts_with("PUT"))
            .unwrap();
        assert!(
            put.line.starts_with("PUT /bucket/p/a%20b%2Bc%01%C3%A9"),
            "{}",
            put.line
        );
        assert_unsigned_with_crc64(put, content);
        assert_eq!(put.header("x-amz-meta-file-owner"), Some("7"));
        assert_eq!(put.header("x-amz-meta-user-agent"), Some("aws-datasync"));
        assert_eq!(put.header("if-none-match"), Some("*"));
        let class = (content.len() >= 128 * 1024).then_some("STANDARD_IA");
        assert_eq!(put.header("x-amz-storage-class"), class);
    }
}

#[tokio::test]
async fn parts_and_completion_carry_full_object_checksums() {
    let sink = Sink::start().await;
    let destination = sink.open().await;
    let body =
        "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>";
    sink.answer(Answer::Reply(200, "", body.to_owned()));
    let upload = destination
        .create_upload(&key("k"), &header(), 10)
        .await
        .unwrap();
    let content = b"the only part".to_vec();
    let part = destination
        .upload_part(&key("k"), &upload, 1, payload(&content))
        .await
        .unwrap();
    let whole = Crc64::of(&content);
    let completed = format!(
        "<CompleteMultipartUploadResult><ETag>\"w\"</ETag><ChecksumCRC64NVME>{}</ChecksumCRC64NVME>\
         <ChecksumType>FULL_OBJECT</ChecksumType></CompleteMultipartUploadResult>",
        base64_of(whole)
    );
    sink.answer(Answer::Reply(200, "", completed.clone()));
    let parts = [part];
    let receipt = destination
        .complete_upload(&key("k"), &upload, &header(), &parts, whole)
        .await
        .unwrap();
    assert!(receipt.vouched);
    let seen = sink.seen();
    assert_eq!(
        seen[0].header("x-amz-checksum-algorithm"),
        Some("CRC64NVME")
    );
    assert_eq!(seen[0].header("x-amz-checksum-type"), Some("FULL_OBJECT"));
    assert_unsigned_with_crc64(&seen[1], &content);
    assert_eq!(
        seen[2].header("x-amz-checksum-crc64nvme"),
        Some(base64_of(whole).as_str())
    );
    assert_eq!(seen[2].header("x-amz-checksum-type"), Some("FULL_OBJECT"));
    assert!(String::from_utf8_lossy(&seen[2].body).contains(&base64_of(whole)));

    sink.answer(Answer::Reply(
        200,
        "",
        completed.replace(&base64_of(whole), "AAAAAAAAAAA="),
    ));
    let other = destination
        .complete_upload(&key("k"), &upload, &header(), &parts, whole)
        .await;
    let error = other.unwrap_err();
    assert_eq!(
        (error.kind, error.effect),
        (ErrorKind::ChecksumRefused, Effect::Unknown)
    );
}

#[tokio::test]
async fn a_success_with_an_error_body_is_an_error() {
    let sink = Sink::start().await;
    let destination = sink.open().await;
    sink.answer(Answer::Reply(200, "", error_body("InternalError")));
    let part = PartReceipt {
        number: 1,
        etag: "\"e\"".to_owned(),
        crc64: Crc64::EMPTY,
        length: 0,
    };
    let upload = UploadId("u".to_owned());
    let error = destination
        .complete_upload(&key("k"), &upload, &header(), &[part], Crc64::EMPTY)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind, error.effect),
        (ErrorKind::ServerFault, Effect::Unknown),
        "{error}"
    );
}

#[tokio::test]
async fn nothing_is_retried_here_and_every_failure_has_its_kind() {
    let sink = Sink::start().await;
    let destination = sink.open().await;
    let big = vec![1u8; 8 << 20];
    let cases = [
        (
            Answer::Reply(503, "retry-after: 9\r\n", error_body("SlowDown")),
            ErrorKind::Busy,
            Effect::None,
        ),
        (
            Answer::Reply(500, "", error_body("InternalError")),
            ErrorKind::ServerFault,
            Effect::Unknown,
        ),
        (
            Answer::Reply(403, "", error_body("AccessDenied")),
            ErrorKind::PermissionDenied,
            Effect::None,
        ),
        (
            Answer::Reply(412, "", String::new()),
            ErrorKind::Precondition,
            Effect::None,
        ),
        (
            Answer::Reply(502, "", "<html>".to_owned()),
            ErrorKind::ServerFault,
            Effect::Unknown,
        ),
        (
            Answer::Reply(200, "", String::new()),
            ErrorKind::Protocol,
            Effect::Unknown,
        ),
        (Answer::Hang, ErrorKind::Timeout, Effect::Unknown),
        (Answer::Cut, ErrorKind::Unreachable, Effect::Unknown),
    ];
    for content in [&b"small"[..], &big] {
        for (answer, kind, effect) in cases.clone() {
            sink.answer(answer.clone());
            let before = destination.calls().of("PutObject");
            let error = destination
                .put(&key("k"), &header(), payload(content))
                .await
                .unwrap_err();
            assert_eq!(
                (error.kind, error.effect),
                (kind, effect),
                "{answer:?}: {error}"
            );
            assert_eq!(error.retry_after.is_some(), kind == ErrorKind::Busy);
            assert_eq!(destination.calls().of("PutObject"), before + 1);
        }
    }
}

#[tokio::test]
async fn a_listing_out_of_order_is_refused() {
    let sink = Sink::start().await;
    let destination = sink.open().await;
    let entry = |key| {
        format!(
            "<Contents><Key>p/{key}</Key><Size>1</Size><ETag>\"e\"</ETag>\
             <LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
        )
    };
    let body = LIST.replace(
        "</ListBucketResult>",
        &(entry("b") + &entry("a") + "</ListBucketResult>"),
    );
    sink.answer(Answer::Reply(200, "", body));
    let error = destination.list(None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Protocol);
    assert!(error.to_string().contains("byte order"), "{error}");
}

#[tokio::test]
async fn the_bucket_s_region_is_learned_from_refusals() {
    let sink = Sink::start().await;
    sink.answer(Answer::Reply(
        301,
        "x-amz-bucket-region: eu-south-9\r\n",
        error_body("PermanentRedirect"),
    ));
    let malformed = error_body("AuthorizationHeaderMalformed")
        .replace("</Error>", "<Region>eu-north-8</Region></Error>");
    sink.answer(Answer::Reply(400, "", malformed));
    S3Destination::open(sink.config()).await.unwrap();
    let seen = sink.seen();
    let signed_for = |index: usize, region: &str| {
        let header = seen[index].header("authorization").unwrap();
        assert!(header.contains(&format!("/{region}/s3/")), "{header}");
    };
    signed_for(0, "us-east-1");
    signed_for(1, "eu-south-9");
    signed_for(2, "eu-north-8");
    signed_for(5, "eu-north-8");
}

#[tokio::test]
async fn the_probe_s_object_is_deleted_also_after_errors() {
    let sink = Sink::start().await;
    for _ in 0..2 {
        sink.answer(Answer::Reply(200, "", LIST.to_owned()));
    }
    sink.answer(Answer::Reply(403, "", error_body("AccessDenied")));
    let error = S3Destination::open(sink.config()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::PermissionDenied);
    assert!(error.to_string().contains("s3:PutObject"), "{error}");
    let last = sink.seen().pop().unwrap();
    assert!(
        last.line
            .starts_with("DELETE /bucket/p/.aws-datasync/probe-"),
        "{}",
        last.line
    );
}

#[tokio::test]
async fn a_copy_that_fails_after_its_status_is_an_error() {
    let sink = Sink::start().await;
    let destination = sink.open().await;
    sink.answer(Answer::Reply(200, OK_PUT, String::new()));
    sink.answer(Answer::Reply(200, "", error_body("InternalError")));
    let current = ObjectState {
        size: 1,
        etag: "\"e\"".to_owned(),
        metadata: PosixMetadata::default(),
        crc64: None,
        storage_class: None,
    };
    let (name, metadata) = (key("k"), header().metadata);
    let copied = destination.set_metadata(&name, &current, &metadata);
    let error = copied.await.unwrap_err();
    assert_eq!(
        (error.kind, error.effect),
        (ErrorKind::ServerFault, Effect::Unknown),
        "{error}"
    );
}
