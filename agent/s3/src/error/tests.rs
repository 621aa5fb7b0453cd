use super::*;

#[test]
fn codes_come_before_statuses() {
    use ErrorKind as K;
    for (status, code, kind) in [
        (503, Some("SlowDown"), K::Busy),
        (503, None, K::Busy),
        (429, None, K::Busy),
        (500, Some("InternalError"), K::ServerFault),
        (200, Some("InternalError"), K::ServerFault),
        (200, Some("SlowDown"), K::Busy),
        (200, Some("NobodyKnows"), K::ServerFault),
        (502, None, K::ServerFault),
        (504, None, K::Timeout),
        (400, Some("RequestTimeout"), K::Timeout),
        (400, Some("BadDigest"), K::ChecksumRefused),
        (400, Some("InvalidDigest"), K::ChecksumRefused),
        (400, Some("XAmzContentChecksumMismatch"), K::ChecksumRefused),
        (412, Some("PreconditionFailed"), K::Precondition),
        (412, None, K::Precondition),
        (409, Some("ConditionalRequestConflict"), K::Busy),
        (409, Some("OperationAborted"), K::Busy),
        (409, None, K::Busy),
        (409, Some("XMinioObjectExistsAsDirectory"), K::InvalidName),
        (403, Some("AccessDenied"), K::PermissionDenied),
        (403, None, K::PermissionDenied),
        (403, Some("SignatureDoesNotMatch"), K::Credentials),
        (403, Some("InvalidAccessKeyId"), K::Credentials),
        (400, Some("ExpiredToken"), K::Credentials),
        (404, Some("NoSuchBucket"), K::ContainerNotFound),
        (404, Some("NoSuchKey"), K::NotFound),
        (404, Some("NoSuchUpload"), K::NotFound),
        (404, None, K::NotFound),
        (400, Some("EntityTooLarge"), K::TooLarge),
        (413, None, K::TooLarge),
        (400, Some("KeyTooLongError"), K::InvalidName),
        (403, Some("QuotaExceeded"), K::NoSpace),
        (507, None, K::NoSpace),
        (501, Some("NotImplemented"), K::NotSupported),
        (301, Some("PermanentRedirect"), K::Invalid),
        (400, Some("NobodyKnows"), K::Invalid),
        (418, None, K::Protocol),
    ] {
        assert_eq!(kind_of(status, code), kind, "{status} {code:?}");
    }
}

#[test]
fn only_what_a_refused_mutation_may_have_done_is_unknown() {
    for (status, code, mutates, effect) in [
        (500, Some("InternalError"), true, Effect::Unknown),
        (500, Some("InternalError"), false, Effect::None),
        (503, Some("SlowDown"), true, Effect::None),
        (503, None, true, Effect::Unknown),
        (504, None, true, Effect::Unknown),
        (200, Some("InternalError"), true, Effect::Unknown),
        (501, None, true, Effect::None),
        (403, Some("AccessDenied"), true, Effect::None),
        (412, None, true, Effect::None),
        (409, Some("ConditionalRequestConflict"), true, Effect::None),
    ] {
        assert_eq!(
            effect_of(status, code, mutates),
            effect,
            "{status} {code:?} {mutates}"
        );
    }
}

#[test]
fn a_refusal_tells_all_and_bounds_what_the_server_says() {
    let long = "x\n".repeat(10_000);
    let refusal = Refusal {
        status: 503,
        code: Some("SlowDown"),
        message: Some(&long),
        request_id: Some("R1"),
        retry_after: Some("7"),
        date: None,
    };
    let error = refusal.into_error(Operation::PutObject, "s3://b/k", &StoreClock::default());
    assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
    let text = error.to_string();
    assert!(
        text.starts_with("PutObject s3://b/k: the store answered 503 SlowDown x x"),
        "{text}"
    );
    assert!(text.ends_with("(request R1)") && text.len() < 700 && !text.contains('\n'));
}

#[test]
fn all_requests_that_a_skewed_clock_signed_are_tried_again() {
    let refused = |code, date| Refusal {
        status: 403,
        code,
        date,
        ..Refusal::default()
    };
    let kind = |refusal: Refusal<'_>, clock: &StoreClock| {
        let error = refusal.into_error(Operation::HeadObject, "k", clock);
        assert_eq!(error.effect, Effect::None);
        error.kind
    };
    let (skewed, date) = (
        Some("RequestTimeTooSkewed"),
        Some("Wed, 21 Oct 2015 07:28:00 GMT"),
    );
    for first in [skewed, None] {
        let clock = StoreClock::default();
        assert_eq!(kind(refused(first, date), &clock), ErrorKind::Busy);
        // These were under way when the clock was set.
        assert_eq!(kind(refused(skewed, date), &clock), ErrorKind::Busy);
        assert_eq!(kind(refused(None, date), &clock), ErrorKind::Busy);
        let denied = kind(refused(Some("AccessDenied"), date), &clock);
        assert_eq!(denied, ErrorKind::PermissionDenied);
    }
    let clock = StoreClock::default();
    let undated = kind(refused(skewed, None), &clock);
    assert_eq!(undated, ErrorKind::Credentials);
    assert_eq!(
        kind(refused(None, None), &clock),
        ErrorKind::PermissionDenied
    );
}

#[test]
fn elements_of_error_documents_are_found() {
    let body = "<Error><Code>SlowDown</Code><Message>a</Message></Error>";
    assert_eq!(element(body, "Code"), Some("SlowDown"));
    assert_eq!(element(body, "Region"), None);
    assert_eq!(element("<Code>", "Code"), None);
}

#[test]
fn what_an_io_error_hides_is_found() {
    let hidden = std::io::Error::other(rustls::Error::DecryptError);
    let error = not_answered(&hidden, Operation::PutObject, "k");
    assert_eq!(
        (error.kind, error.effect),
        (ErrorKind::Unreachable, Effect::None)
    );
    assert!(error.detail.contains("TLS"), "{error}");
    let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    let error = not_answered(&reset, Operation::PutObject, "k");
    assert_eq!(
        (error.kind, error.effect),
        (ErrorKind::Unreachable, Effect::Unknown)
    );
}
