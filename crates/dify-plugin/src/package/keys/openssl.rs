//! Generates a key pair with the command `openssl`. The private key passes through pipes and is never in a file.

use std::io::Write;
use std::process::{Command, Stdio};

use super::Pair;

/// Generates a pair, or says why it cannot.
pub(super) fn generate() -> Result<Pair, String> {
    // In DER, `genpkey` writes PKCS#1.
    let private = openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:4096"], b"")?;
    let public_pkcs1 = openssl(&["rsa", "-RSAPublicKey_out", "-outform", "DER"], &private)?;
    let private = pem::parse(private).map_err(|_| "`openssl genpkey` returned no key")?;
    Ok(Pair { private_pkcs8: private.into_contents(), public_pkcs1 })
}

/// Runs the command with this input; its output.
fn openssl(arguments: &[&str], input: &[u8]) -> Result<Vec<u8>, String> {
    let missing = |error: std::io::Error| {
        format!(
            "cannot run `openssl`, which generates the keys: {error}. Install it, or use `keygen` of dify-plugin-runtime"
        )
    };
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(missing)?;
    if let Some(mut pipe) = child.stdin.take() {
        pipe.write_all(input).map_err(missing)?;
    }
    let output = child.wait_with_output().map_err(missing)?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        return Err(format!("`openssl {}` failed: {}", arguments[0], reason.trim()));
    }
    Ok(output.stdout)
}
