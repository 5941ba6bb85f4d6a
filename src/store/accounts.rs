//! The built-in account: its password hash, the links that set the password, and the browsers that
//! have signed in to it.

use secrecy::SecretString;
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};

use super::hash::TokenHash;
use super::seal::SecretOf;
use super::{FormHash, Result, Store};

pub const ADMIN: &str = "admin";
const LINK_LIFETIME: Duration = Duration::hours(1);
/// How long a form that used a code may bring it again, and one that set the password counts as
/// pressed again.
const SAME_CODE: Duration = Duration::seconds(10);
const SAME_PASSWORD: Duration = Duration::minutes(10);
/// How long a browser is remembered after its last sign-in.
pub(super) const DEVICE_MEMORY: Duration = Duration::days(365);

/// What somebody who sets the admin's password has shown.
#[derive(Clone, Copy)]
pub enum PasswordProof<'a> {
    /// A one-time link.
    Link(&'a TokenHash),
    /// The password with this hash, in this session: turning the second step on ends sessions.
    Current(&'a str, &'a TokenHash),
}

/// What was right when somebody showed the password.
pub struct PasswordShown {
    /// The password's hash.
    pub hash: String,
    /// Whether the second step was passed too.
    pub with_code: bool,
}

impl Store {
    pub async fn password_hash(&self) -> Result<Option<String>> {
        Ok(
            sqlx::query_scalar!("SELECT password_hash FROM account WHERE name = $1", ADMIN)
                .fetch_optional(&self.pool)
                .await?,
        )
    }

    /// Sets the admin's password if there is none yet. Links that were made before no longer set
    /// it. Returns whether it did.
    pub async fn set_first_password(&self, hash: &str, now: OffsetDateTime) -> Result<bool> {
        let mut tx = self.begin().await?;
        end_links(&mut tx).await?;
        let done = sqlx::query!(
            "INSERT INTO account (name, password_hash, changed_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            ADMIN,
            hash,
            now,
        )
        .execute(&mut *tx)
        .await?;
        if done.rows_affected() != 1 {
            return Ok(false);
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Sets the admin's password and ends the admin's sessions, if the proof still holds: a link is
    /// used up by it. Whoever uses a link may also have lost their authenticator app, so the
    /// password alone is enough again; and their browser may be in other hands, so all known
    /// browsers are forgotten. Returns whether the password was set. If so, it is known as the one
    /// that `form` has set.
    pub async fn set_password(
        &self,
        hash: &str,
        proof: PasswordProof<'_>,
        form: &FormHash,
        now: OffsetDateTime,
    ) -> Result<bool> {
        let (link, current) = match proof {
            PasswordProof::Link(link) => (Some(link), None),
            PasswordProof::Current(hash, session) => (None, Some((hash, session))),
        };
        let mut tx = self.begin().await?;
        // All at once: of two that are used at the same time, one waits for the other here.
        let works = sqlx::query_scalar!(
            r#"DELETE FROM set_up_link
               RETURNING coalesce(token_hash = $1 AND expires_at > $2, false) as "works!""#,
            link.map(|link| &link[..]),
            now,
        )
        .fetch_all(&mut *tx)
        .await?;
        if link.is_some() && !works.contains(&true) {
            return Ok(false);
        }
        if let Some((hash, session)) = current {
            // Locked first, so that the session is looked for after whatever has ended it.
            sqlx::query!(
                "SELECT FROM account WHERE name = $1 AND password_hash = $2 FOR UPDATE",
                ADMIN,
                hash,
            )
            .fetch_optional(&mut *tx)
            .await?;
            let goes_on = sqlx::query_scalar!(
                r#"SELECT EXISTS (SELECT FROM session WHERE token_hash = $1) as "goes_on!""#,
                session.as_slice(),
            )
            .fetch_one(&mut *tx)
            .await?;
            if !goes_on {
                return Ok(false);
            }
        }
        let set = sqlx::query!(
            "INSERT INTO account (name, password_hash, changed_at, password_form) VALUES ($1, $2, $3, $6)
             ON CONFLICT (name) DO UPDATE SET password_hash = EXCLUDED.password_hash, changed_at = EXCLUDED.changed_at,
               password_form = EXCLUDED.password_form,
               second_step = CASE WHEN $4 THEN NULL ELSE account.second_step END
             WHERE $5::text IS NULL OR account.password_hash = $5",
            ADMIN,
            hash,
            now,
            link.is_some(),
            current.map(|(hash, _)| hash),
            &form[..],
        )
        .execute(&mut *tx)
        .await?;
        if set.rows_affected() != 1 {
            return Ok(false);
        }
        sqlx::query!(
            "WITH forgotten AS (DELETE FROM known_device WHERE account = $1 AND $2)
             DELETE FROM session WHERE user_name = $1 AND source = 'password'",
            ADMIN,
            link.is_some(),
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The password in force, if this form has set it not long ago. Turning the second step on or
    /// off ends that, so if it is on, whoever sent the form has passed it.
    pub async fn password_set_by(
        &self,
        form: &FormHash,
        now: OffsetDateTime,
    ) -> Result<Option<PasswordShown>> {
        Ok(sqlx::query_as!(
            PasswordShown,
            r#"SELECT password_hash as hash, second_step IS NOT NULL as "with_code!"
               FROM account WHERE name = $1 AND password_form = $2 AND changed_at >= $3"#,
            ADMIN,
            &form[..],
            now - SAME_PASSWORD,
        )
        .fetch_optional(&self.pool)
        .await?)
    }

    /// The secret shared with the admin's authenticator app, or `None` if the password is enough.
    pub async fn second_step(&self) -> Result<Option<SecretString>> {
        let sealed = sqlx::query_scalar!("SELECT second_step FROM account WHERE name = $1", ADMIN)
            .fetch_optional(&self.pool)
            .await?
            .flatten();
        let open = |sealed: Vec<u8>| self.open(SecretOf::SecondStep, &sealed);
        Ok(sealed.map(open).transpose()?)
    }

    /// From now on asks for codes of that app that are later than `code`; with `None`, for none.
    /// Returns whether that is new: an app that is in use is not replaced, and nothing changes if
    /// `password`, the hash of the one that was shown, is no longer the admin's. Links that were
    /// made before no longer set the password, and sessions that began without a code end, except
    /// for `own`.
    pub async fn set_second_step(
        &self,
        secret: Option<&SecretString>,
        code: Option<i64>,
        password: &str,
        own: &TokenHash,
    ) -> Result<bool> {
        let seal = |secret| self.seal(SecretOf::SecondStep, secret);
        let sealed = secret.map(seal).transpose()?;
        let mut tx = self.begin().await?;
        end_links(&mut tx).await?;
        let done = sqlx::query!(
            "UPDATE account SET second_step = $2, code_used = $3, code_form = NULL, password_form = NULL
             WHERE name = $1 AND password_hash = $4 AND (second_step IS NULL) <> ($2::bytea IS NULL)",
            ADMIN,
            sealed,
            code,
            password,
        )
        .execute(&mut *tx)
        .await?;
        if done.rows_affected() != 1 {
            return Ok(false);
        }
        if secret.is_some() {
            sqlx::query!(
                "DELETE FROM session WHERE user_name = $1 AND source = 'password' AND token_hash <> $2",
                ADMIN,
                own.as_slice(),
            )
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Uses up the code of that half-minute. Returns whether neither it nor a later one had been
    /// used before, or just now by an earlier press of the same form.
    pub async fn use_code(&self, code: i64, form: &FormHash, now: OffsetDateTime) -> Result<bool> {
        let done = sqlx::query!(
            "UPDATE account SET code_used = $2, code_form = $3,
               code_used_at = CASE WHEN code_used = $2 THEN code_used_at ELSE $4 END
             WHERE name = $1
               AND (code_used IS NULL OR code_used < $2 OR code_used = $2 AND code_form = $3 AND code_used_at > $5)",
            ADMIN,
            code,
            &form[..],
            now,
            now - SAME_CODE,
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Stores a one-time link that sets the admin's password within an hour.
    pub async fn add_set_up_link(&self, token: &TokenHash, now: OffsetDateTime) -> Result<()> {
        sqlx::query!(
            "INSERT INTO set_up_link (token_hash, expires_at) VALUES ($1, $2)",
            token.as_slice(),
            now + LINK_LIFETIME,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    pub async fn set_up_link_works(&self, token: &TokenHash, now: OffsetDateTime) -> Result<bool> {
        Ok(sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM set_up_link WHERE token_hash = $1 AND expires_at > $2) as "works!""#,
            token.as_slice(),
            now,
        )
        .fetch_one(&self.pool)
        .await?)
    }

    /// Whether this browser has signed in before.
    pub async fn knows_device(&self, device: &TokenHash, now: OffsetDateTime) -> Result<bool> {
        Ok(sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM known_device WHERE token_hash = $1 AND used_at > $2) as "known!""#,
            device.as_slice(),
            now - DEVICE_MEMORY,
        )
        .fetch_one(&self.pool)
        .await?)
    }

    pub async fn remember_device(&self, device: &TokenHash, now: OffsetDateTime) -> Result<()> {
        sqlx::query!(
            "INSERT INTO known_device (token_hash, account, used_at) VALUES ($1, $2, $3)
             ON CONFLICT (token_hash) DO UPDATE SET used_at = EXCLUDED.used_at",
            device.as_slice(),
            ADMIN,
            now,
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

/// From now on no form of the admin's counts as pressed again. Called before sessions are ended:
/// setting the password locks in the same order, so the two cannot deadlock.
pub(super) async fn end_presses(connection: &mut PgConnection) -> Result<()> {
    sqlx::query!(
        "UPDATE account SET code_form = NULL, password_form = NULL WHERE name = $1",
        ADMIN,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends all links that set the password. Called before the account is changed: using a link locks
/// in the same order, so the two cannot deadlock.
async fn end_links(connection: &mut PgConnection) -> Result<()> {
    sqlx::query!("DELETE FROM set_up_link")
        .execute(connection)
        .await?;
    Ok(())
}
