//! A store that speaks HTTP by hand: it shows what is on the wire and answers from a script.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use datasync_endpoint::Crc64;
use datasync_model::StorageClass;
use datasync_s3::{S3Config, S3Destination};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::setup;
use crate::skew::StoresClock;

/// What the sink answers to one request.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// Status, headers, body.
    Reply(u16, &'static str, String),
    /// Headers of a success without a body, `content-length` among them.
    Head(&'static str),
    /// The whole answer.
    Raw(&'static str),
    Hang,
    /// Closes in the middle of the request's body.
    Cut,
}

#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Method and target.
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.iter();
        all.find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }
}

#[derive(Debug, Default)]
struct Script {
    answers: Mutex<VecDeque<Answer>>,
    seen: Mutex<Vec<Request>>,
    stale_refused: AtomicBool,
    clock: StoresClock,
}

pub(crate) const OK_PUT: &str = "etag: \"e\"\r\n";
const OK_HEAD: &str = "etag: \"e\"\r\ncontent-length: 1\r\n";
pub(crate) const LIST: &str = "<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated></ListBucketResult>";

const UPLOADS: &str =
    "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>";

pub(crate) fn error_body(code: &str) -> String {
    format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>so it is</Message></Error>")
}

/// Answers the probe as AWS would. `None`: not a request of the probe.
fn probe_answer(request: &Request, stale_refused: &AtomicBool) -> Option<Answer> {
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
    if request.header("x-amz-trailer").is_some() {
        return Some(trailer_answer(request));
    }
    match method {
        "PUT" if request.header("if-none-match").is_some() => reply(412, "", ""),
        "PUT" if crc == Some(RIGHT.get().map_or(right, String::as_str)) => reply(200, OK_PUT, ""),
        "PUT" => reply(400, "", &error_body("BadDigest")),
        "HEAD" => Some(Answer::Reply(
            200,
            HEAD.get().map_or("", |head| head),
            String::new(),
        )),
        "DELETE"
            if stale_refused.load(Ordering::Relaxed) && request.header("if-match").is_some() =>
        {
            reply(412, "", "")
        }
        "POST" => reply(
            200,
            "",
            "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>",
        ),
        _ => reply(204, "", ""),
    }
}

/// Answers a part with a trailer by what the trailer says.
fn trailer_answer(request: &Request) -> Answer {
    let right = base64_of(Crc64::of(&content(&request.body)));
    let end = format!("\r\n0\r\nx-amz-checksum-crc64nvme:{right}\r\n\r\n");
    if request.body.ends_with(end.as_bytes()) {
        let headers = format!("etag: \"e\"\r\nx-amz-checksum-crc64nvme: {right}\r\n");
        Answer::Reply(200, headers.leak(), String::new())
    } else {
        Answer::Reply(400, "", error_body("BadDigest"))
    }
}

/// What the chunks of a body carry.
fn content(mut body: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    while let Some(line) = body.windows(2).position(|end| end == b"\r\n") {
        let length = std::str::from_utf8(&body[..line]).unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            break;
        }
        content.extend_from_slice(&body[line + 2..][..length]);
        body = &body[line + 2 + length + 2..];
    }
    content
}

/// The checksum of the probe's content, learned from its second put.
static RIGHT: std::sync::OnceLock<String> = std::sync::OnceLock::new();
static HEAD: std::sync::OnceLock<&'static str> = std::sync::OnceLock::new();

pub(crate) struct Sink {
    endpoint: String,
    script: Arc<Script>,
    _server: JoinSet<()>,
}

impl Sink {
    pub(crate) async fn start() -> Self {
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

    pub(crate) async fn open(&self) -> S3Destination {
        let destination = S3Destination::open(self.config()).await.unwrap();
        self.script.seen.lock().unwrap().clear();
        destination
    }

    pub(crate) fn config(&self) -> S3Config {
        let mut config = setup::config(&self.endpoint, "p/");
        config.location.storage_class = StorageClass::StandardIa;
        config.credentials = SharedCredentialsProvider::new(Credentials::new(
            "AKID",
            "SECRET",
            Some("TOKEN".to_owned()),
            None,
            "test",
        ));
        config.request_timeout = Duration::from_millis(700);
        config.requests_max = 4;
        config
    }

    pub(crate) fn answer(&self, answer: Answer) {
        self.script.answers.lock().unwrap().push_back(answer);
    }

    /// Single deletes of the probe honour `If-Match`.
    pub(crate) fn refuse_stale_deletes(&self) {
        self.script.stale_refused.store(true, Ordering::Relaxed);
    }

    /// The clock that this store tells and checks, once it is set.
    pub(crate) fn clock(&self) -> &StoresClock {
        &self.script.clock
    }

    pub(crate) fn seen(&self) -> Vec<Request> {
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
        let scripted = script.clock.refusal(&request);
        let scripted = scripted.or_else(|| script.answers.lock().unwrap().pop_front());
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
        let scripted = scripted.or_else(|| probe_answer(&request, &script.stale_refused));
        let bodiless = request.line.starts_with("HEAD");
        script.seen.lock().unwrap().push(request);
        let date = script.clock.header();
        let usual = match bodiless {
            true => Answer::Head(OK_HEAD),
            false => Answer::Reply(200, OK_PUT, String::new()),
        };
        match scripted.unwrap_or(usual) {
            Answer::Hang | Answer::Cut => std::future::pending().await,
            Answer::Head(headers) => {
                let text = format!("HTTP/1.1 200 Answer\r\n{date}{headers}\r\n");
                stream.write_all(text.as_bytes()).await?;
            }
            Answer::Raw(text) => stream.write_all(text.as_bytes()).await?,
            Answer::Reply(status, headers, body) => {
                let body = if bodiless { String::new() } else { body };
                let length = if status == 204 || bodiless {
                    String::new()
                } else {
                    format!("content-length: {}\r\n", body.len())
                };
                let text = format!("HTTP/1.1 {status} Answer\r\n{date}{headers}{length}\r\n{body}");
                stream.write_all(text.as_bytes()).await?;
            }
        }
    }
}

pub(crate) fn base64_of(crc64: Crc64) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(crc64.0.to_be_bytes())
}
