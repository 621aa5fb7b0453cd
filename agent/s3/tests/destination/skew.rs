//! A store whose clock is not ours: one refusal, and from then on its time is signed.

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use aws_smithy_types::date_time::{DateTime, Format};
use datasync_endpoint::{Destination, EndpointError, ErrorKind, UploadId};
use datasync_s3::S3Destination;

use crate::setup::{header, key, payload};
use crate::sink::{Answer, Request, Sink, error_body};

const MINUTE: i64 = 60;
const YEAR: i64 = 366 * 24 * 60 * MINUTE;
const AHEAD: [i64; 4] = [20 * MINUTE, -20 * MINUTE, 73 * YEAR, -9 * YEAR];

/// What stores bear, in seconds.
const BORNE: u64 = 900;

/// Seconds that a store is ahead of us. `None`: it tells no time and checks none.
#[derive(Debug, Default)]
pub(crate) struct StoresClock(Mutex<Option<i64>>);

impl StoresClock {
    fn set(&self, ahead: i64) {
        *self.0.lock().unwrap() = Some(ahead);
    }

    fn now(&self) -> Option<DateTime> {
        let ahead = (*self.0.lock().unwrap())?;
        let ours = DateTime::from(SystemTime::now()).secs();
        Some(DateTime::from_secs(ours + ahead))
    }

    /// The `Date` header of an answer, with its line end.
    pub(crate) fn header(&self) -> String {
        self.now().map_or_else(String::new, |now| {
            format!("date: {}\r\n", now.fmt(Format::HttpDate).unwrap())
        })
    }

    /// The answer to a request that was signed at a wrong time.
    pub(crate) fn refusal(&self, request: &Request) -> Option<Answer> {
        let now = self.now()?.secs();
        let signed = signed_at(request).secs();
        let skewed = || Answer::Reply(403, "", error_body("RequestTimeTooSkewed"));
        (signed.abs_diff(now) > BORNE).then(skewed)
    }
}

/// `20261126T065921Z`
fn signed_at(request: &Request) -> DateTime {
    let text = request.header("x-amz-date").unwrap();
    let (day, time) = (&text[..8], &text[9..15]);
    let [year, month, date] = [&day[..4], &day[4..6], &day[6..]];
    let [hour, minute, second] = [&time[..2], &time[2..4], &time[4..]];
    let text = format!("{year}-{month}-{date}T{hour}:{minute}:{second}Z");
    DateTime::from_str(&text, Format::DateTime).unwrap()
}

#[derive(Debug, Clone, Copy)]
enum Call {
    LeanPut,
    SdkPut,
    Head,
    List,
    UploadPart,
}

impl Call {
    const ALL: [Self; 5] = [
        Self::LeanPut,
        Self::SdkPut,
        Self::Head,
        Self::List,
        Self::UploadPart,
    ];

    async fn send(self, destination: &S3Destination) -> Result<(), EndpointError> {
        let (key, header) = (key("k"), header());
        let upload = UploadId("u".to_owned());
        match self {
            Self::LeanPut => {
                let put = destination.put(&key, &header, payload(b"x"));
                put.await.map(|_| ())
            }
            Self::SdkPut => {
                let large = vec![0; 1 << 20];
                let put = destination.put(&key, &header, payload(&large));
                put.await.map(|_| ())
            }
            Self::Head => destination.stat(&key).await.map(|_| ()),
            Self::List => destination.list(None).await.map(|_| ()),
            Self::UploadPart => {
                let part = destination.upload_part(&key, &upload, 1, payload(b"x"));
                part.await.map(|_| ())
            }
        }
    }
}

/// Waits longer than other tests: here no answer is missing.
async fn open(sink: &Sink) -> S3Destination {
    let mut config = sink.config();
    config.request_timeout = Duration::from_secs(60);
    S3Destination::open(config).await.unwrap()
}

/// One refusal, and the same call again succeeds, and all others from then on.
async fn corrected_at_once(destination: &S3Destination, first: Call, ahead: i64) {
    let error = first.send(destination).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Busy, "{first:?} {ahead}: {error}");
    first.send(destination).await.unwrap();
    for round in 0..5 {
        for call in Call::ALL {
            let outcome = call.send(destination).await;
            let refused = outcome.err().map(|error| error.to_string());
            let at = format!("{call:?}, round {round}, {ahead} s ahead");
            assert_eq!(refused, None, "{at}");
        }
    }
}

#[tokio::test]
async fn a_store_with_another_clock_refuses_one_request_of_any_kind_and_no_more() {
    for first in Call::ALL {
        let sink = Sink::start().await;
        let destination = open(&sink).await;
        // The store's clock jumps, from one wrong time to the next and to the right one.
        for ahead in AHEAD.into_iter().chain([0]) {
            sink.clock().set(ahead);
            corrected_at_once(&destination, first, ahead).await;
        }
    }
}

#[tokio::test]
async fn a_location_of_a_store_with_another_clock_opens() {
    for ahead in AHEAD {
        let sink = Sink::start().await;
        sink.clock().set(ahead);
        let destination = open(&sink).await;
        for call in Call::ALL {
            call.send(&destination).await.unwrap();
        }
        let seen = sink.seen();
        let refused = seen.iter().filter(|r| sink.clock().refusal(r).is_some());
        assert_eq!(refused.count(), 1, "{ahead} s ahead");
    }
}
