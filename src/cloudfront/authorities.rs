//! The certificate authorities of this machine, without which the SDK's client cannot be made.

#[derive(Debug, thiserror::Error)]
#[error(
    "this machine has no certificate authorities to know CloudFront by: install them (on Debian the package \
     ca-certificates), or name a file of them in SSL_CERT_FILE"
)]
pub struct NoAuthorities;

/// Looks for them where the SDK will, which panics without.
pub fn authorities_are_known() -> Result<(), NoAuthorities> {
    if rustls_native_certs::load_native_certs().certs.is_empty() {
        return Err(NoAuthorities);
    }
    Ok(())
}
