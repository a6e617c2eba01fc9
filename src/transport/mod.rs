//! Bytes in and out to the host. A transport knows no provider and reads no request.

pub mod stdio;
