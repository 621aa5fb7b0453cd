use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use zeroize::Zeroizing;

use super::*;

fn location(endpoint: String) -> S3Location {
    S3Location {
        arn: "arn:aws:datasync:us-east-1:000000000000:location/loc-0123456789abcdef0"
            .parse()
            .unwrap(),
        bucket: "bucket".to_owned(),
        prefix: "in/".to_owned(),
        region: None,
        endpoint: Some(endpoint),
        server_certificate: None,
        storage_class: datasync_model::StorageClass::Standard,
    }
}

fn keys() -> Keys {
    Keys::unlimited("AKID".to_owned(), Zeroizing::new("SECRETCANARY".to_owned()))
}

/// Answers one request with `answer` and returns what was asked.
async fn asked(answer: &'static str) -> (String, BucketTest) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 8192];
        let length = stream.read(&mut request).await.unwrap();
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        String::from_utf8_lossy(&request[..length]).into_owned()
    };
    let location = location(endpoint);
    let (keys, egress) = (keys(), Egress::default());
    tokio::join!(
        serve,
        test_bucket(&location, &keys, "eu-central-1", &egress)
    )
}

#[tokio::test]
async fn an_empty_listing_is_access() {
    let (request, result) = asked(
        "HTTP/1.1 200 OK\r\ncontent-type: application/xml\r\nconnection: close\r\n\r\n\
         <ListBucketResult><Name>bucket</Name><KeyCount>0</KeyCount></ListBucketResult>",
    )
    .await;
    let line = request.lines().next().unwrap();
    assert!(line.starts_with("GET /bucket"), "{line}");
    for part in ["list-type=2", "max-keys=1", "prefix=in%2F"] {
        assert!(line.contains(part), "{line}");
    }
    assert!(
        request.contains("/eu-central-1/s3/aws4_request"),
        "{request}"
    );
    assert_eq!(
        result,
        BucketTest::Accessible {
            region: "eu-central-1".to_owned()
        }
    );
}

#[tokio::test]
async fn a_refusal_has_awss_text_and_the_stores_reason() {
    let (_, result) = asked(
        "HTTP/1.1 403 Forbidden\r\ncontent-type: application/xml\r\nconnection: close\r\n\r\n\
         <Error><Code>AccessDenied</Code><Message>not yours</Message></Error>",
    )
    .await;
    let BucketTest::Refused(text) = result else {
        panic!("{result:?}");
    };
    assert!(
        text.starts_with(
            "DataSync location access test failed: could not perform s3:ListObjectsV2 on bucket. \
             Ensure bucket access role has s3:ListBucket permission."
        ),
        "{text}"
    );
    assert!(text.contains("AccessDenied: not yours"), "{text}");
    assert!(!text.contains("CANARY"), "{text}");
}

#[tokio::test]
async fn a_missing_bucket_is_named_with_what_to_do() {
    let (_, result) = asked(
        "HTTP/1.1 404 Not Found\r\ncontent-type: application/xml\r\nconnection: close\r\n\r\n\
         <Error><Code>NoSuchBucket</Code><Message>no such thing</Message></Error>",
    )
    .await;
    let BucketTest::Refused(text) = result else {
        panic!("{result:?}");
    };
    assert!(
        text.starts_with("DataSync location access test failed"),
        "{text}"
    );
    assert!(
        text.contains("bucket \"bucket\" does not exist at http://127.0.0.1"),
        "{text}"
    );
    assert!(text.contains("Create it"), "{text}");
}

#[tokio::test]
async fn a_key_that_the_store_does_not_know_names_the_command() {
    let (_, result) = asked(
        "HTTP/1.1 403 Forbidden\r\ncontent-type: application/xml\r\nconnection: close\r\n\r\n\
         <Error><Code>InvalidAccessKeyId</Code><Message>unknown</Message></Error>",
    )
    .await;
    assert!(
        matches!(&result, BucketTest::Refused(text) if text.contains("role set-key")),
        "{result:?}"
    );
}

#[tokio::test]
async fn a_broken_store_is_left_to_the_agent() {
    let (_, result) = asked(
        "HTTP/1.1 503 Slow Down\r\ncontent-type: application/xml\r\nconnection: close\r\n\r\n\
         <Error><Code>SlowDown</Code><Message>later</Message></Error>",
    )
    .await;
    assert!(matches!(result, BucketTest::Unreachable(_)), "{result:?}");
}

#[tokio::test]
async fn a_closed_port_is_left_to_the_agent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let result = test_bucket(
        &location(endpoint),
        &keys(),
        "us-east-1",
        &Egress::default(),
    )
    .await;
    assert!(matches!(result, BucketTest::Unreachable(_)), "{result:?}");
}

#[tokio::test]
async fn a_certificate_that_is_none_is_refused_by_name() {
    let mut location = location("https://127.0.0.1:1".to_owned());
    location.server_certificate = Some("not a certificate".to_owned());
    let result = test_bucket(&location, &keys(), "us-east-1", &Egress::default()).await;
    assert!(
        matches!(&result, BucketTest::Refused(text) if text.contains("ServerCertificate")),
        "{result:?}"
    );
}

/// The bucket's host is known to the proxy alone.
#[tokio::test]
async fn a_store_behind_a_proxy_is_asked_through_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://user:canary@{}", listener.local_addr().unwrap());
    let egress = Egress {
        http_proxy: Some(datasync_model::Proxy::new(&url, "").unwrap()),
        ..Egress::default()
    };
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 8192];
        let length = stream.read(&mut request).await.unwrap();
        let refused = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        stream.write_all(refused.as_bytes()).await.unwrap();
        String::from_utf8_lossy(&request[..length]).into_owned()
    };
    let (location, keys) = (location("http://store.test:9000".to_owned()), keys());
    let test = test_bucket(&location, &keys, "us-east-1", &egress);
    let (request, result) = tokio::join!(serve, test);
    assert!(
        request.starts_with("GET http://store.test:9000/bucket"),
        "{request}"
    );
    assert!(
        request
            .to_ascii_lowercase()
            .contains("proxy-authorization: basic "),
        "{request}"
    );
    assert!(!format!("{result:?}{egress:?}").contains("canary"));
}
