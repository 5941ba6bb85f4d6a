//! The second step of signing in: codes of an authenticator app (TOTP, RFC 6238).

use secrecy::{ExposeSecret as _, SecretString};
use time::OffsetDateTime;
use totp_rs::{Builder, Secret, Totp};

use super::Refused;

/// The name under which apps show the code.
const ISSUER: &str = "skycms-cdn";

/// The secret that an authenticator app and this service share.
pub struct SecondStep(Totp);

impl SecondStep {
    /// Makes one for `account` of random bytes.
    ///
    /// # Errors
    /// None that is known: any bytes will do.
    pub fn new(account: &str, random: [u8; 20]) -> Result<Self, Refused> {
        Self::of(account, random.into())
    }

    /// Reads one that [`SecondStep::secret`] wrote.
    pub fn parse(account: &str, secret: &SecretString) -> Result<Self, Refused> {
        let secret =
            Secret::try_from_base32(secret.expose_secret().trim()).map_err(|_| refused())?;
        Self::of(account, secret)
    }

    fn of(account: &str, secret: Secret) -> Result<Self, Refused> {
        if secret.as_bytes().len() < 20 {
            return Err(refused());
        }
        Builder::new()
            .with_secret(secret)
            .with_account_name(account)
            .with_issuer(Some(ISSUER))
            .build()
            .map(Self)
            .map_err(|_| refused())
    }

    /// The secret in Base32, as people type it into their app.
    pub fn secret(&self) -> SecretString {
        SecretString::from(self.0.secret().to_base32())
    }

    /// The address that adds it to an app.
    ///
    /// # Errors
    /// None that is known.
    pub fn address(&self) -> Result<SecretString, Refused> {
        let address = self.0.to_url().map_err(|_| refused())?;
        Ok(SecretString::from(address.to_string()))
    }

    /// The number of the half-minute that the code belongs to, if that is the current one, the one
    /// before or the one after. Each may be used once.
    pub fn check(&self, code: &str, now: OffsetDateTime) -> Option<i64> {
        let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        let seconds = u64::try_from(now.unix_timestamp()).ok()?;
        let step = self.0.check(&code, seconds)?;
        i64::try_from(step).ok()
    }
}

fn refused() -> Refused {
    Refused::new("is not the Base32 of 20 bytes or more")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 6238, to six digits.
    #[test]
    fn agrees_with_the_rfc() {
        let step = SecondStep::new("admin", *b"12345678901234567890").expect("a secret");
        let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).expect("a time");
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081 804"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(step.check(code, at(seconds)), Some(seconds / 30), "{code}");
            assert_eq!(step.check(code, at(seconds + 30)), Some(seconds / 30));
            assert_eq!(step.check(code, at(seconds + 90)), None);
        }
        assert_eq!(step.check("287083", at(59)), None);
        assert_eq!(step.check("", at(59)), None);
        let again = SecondStep::parse("admin", &step.secret()).expect("a secret");
        assert_eq!(again.check("287082", at(59)), Some(1));
        assert!(SecondStep::parse("admin", &SecretString::from("GEZDGNBV")).is_err());
        let address = step.address().expect("an address");
        assert!(
            address
                .expose_secret()
                .starts_with("otpauth://totp/skycms-cdn:admin?")
        );
    }
}
