//! The executable: arguments → configuration → serve → exit code.

fn main() {}
