//! What statements and indexes take from a record's body.

/// The body as PostgreSQL takes it apart: its JSON knows no NUL, which texts of agents may hold.
macro_rules! body {
    () => {
        r"replace(body, '\u0000', '\ufffd')::jsonb"
    };
}

macro_rules! ended_at {
    () => {
        concat!("(", body!(), " #>> '{record,ended_at_ms}')")
    };
}

macro_rules! ended_at_ms {
    () => {
        concat!("(", ended_at!(), "::bigint)")
    };
}

macro_rules! requested_at_ms {
    () => {
        concat!("((", body!(), " #>> '{record,requested_at_ms}')::bigint)")
    };
}

macro_rules! status {
    () => {
        concat!("(", body!(), " #>> '{record,status}')")
    };
}

macro_rules! is_queued {
    () => {
        concat!("(", status!(), " IS NOT DISTINCT FROM 'QUEUED')")
    };
}

macro_rules! due_at {
    () => {
        concat!(
            "((",
            body!(),
            " #>> '{record,schedule,due_at_ms}')::bigint)"
        )
    };
}

macro_rules! readiness {
    () => {
        concat!("(", body!(), " #>> '{record,readiness,status}')")
    };
}

macro_rules! source {
    () => {
        concat!("(", body!(), " #>> '{record,source}')")
    };
}

macro_rules! destination {
    () => {
        concat!("(", body!(), " #>> '{record,destination}')")
    };
}

macro_rules! key_fingerprint {
    () => {
        concat!("(", body!(), " #>> '{record,public_key_fingerprint}')")
    };
}

pub(super) use {
    body, destination, due_at, ended_at, ended_at_ms, is_queued, key_fingerprint, readiness,
    requested_at_ms, source, status,
};
