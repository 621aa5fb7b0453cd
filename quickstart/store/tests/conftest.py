import pytest

from store import Store


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "root")
    yield store
    if store.process.poll() is None:
        assert store.stop() == 0


@pytest.fixture
def s3(store):
    client = store.client()
    client.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    return client
