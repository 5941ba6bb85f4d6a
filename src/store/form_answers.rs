//! What forms were answered with, for as long as somebody may press their button again.

use secrecy::SecretString;
use sqlx::{PgConnection, Postgres, Transaction};
use time::{Duration, OffsetDateTime};

use super::{Result, Store};

const KEPT: Duration = Duration::minutes(10);

/// A form that was sent: SHA-256 of its one-time key and of what came with it.
pub type FormHash = [u8; 32];

/// The answer to a form that asks for a new secret: the secret in force, and whether this call has
/// made it, rather than an earlier submit of the form.
pub type Answered = (SecretString, bool);

/// Who is shown a new secret, once.
#[derive(Clone, Copy, Debug)]
pub enum ShownTo<'a> {
    /// Nobody: whoever gave it has it.
    Nobody,
    /// Whoever asks for it later: see [`Store::reveal`].
    WhoeverReveals,
    /// Whoever sent this form, which is answered with it.
    Form(&'a FormHash),
}

impl<'a> ShownTo<'a> {
    pub(super) const fn form(self) -> Option<&'a FormHash> {
        match self {
            Self::Form(form) => Some(form),
            Self::Nobody | Self::WhoeverReveals => None,
        }
    }

    pub(super) const fn is_revealed(self) -> bool {
        matches!(self, Self::WhoeverReveals)
    }
}

/// An answer that is being given.
pub(super) struct Answer {
    /// Also stores the secret: what a second press is shown must not be one that never came into
    /// being.
    pub(super) tx: Transaction<'static, Postgres>,
    pub(super) secret: SecretString,
    pub(super) is_first: bool,
}

impl Answer {
    /// Gives the answer, if the secret could be stored or still is.
    pub(super) async fn end(self, holds: bool) -> Result<Option<Answered>> {
        if !holds {
            return Ok(None);
        }
        self.tx.commit().await?;
        Ok(Some((self.secret, self.is_first)))
    }
}

/// The place of a form that is kept in a page rather than here.
const KEPT_FORM: &str = "kept_form";

fn place(form: &FormHash) -> String {
    format!("form_answer/{}", hex::encode(form))
}

impl Store {
    /// Keeps a secret that somebody typed, as [`Store::form_answer`] of the form.
    pub async fn keep_typed(
        &self,
        form: &FormHash,
        secret: &SecretString,
        now: OffsetDateTime,
    ) -> Result<()> {
        self.forget_answers(now).await?;
        let mut connection = self.pool.acquire().await?;
        self.keep_answer(&mut connection, form, secret, now).await?;
        Ok(())
    }

    /// Begins to answer a form with a new secret, unless it was answered before. Without a form it
    /// is always the first time.
    pub(super) async fn begin_answer(
        &self,
        form: Option<&FormHash>,
        secret: SecretString,
        now: OffsetDateTime,
    ) -> Result<Answer> {
        self.forget_answers(now).await?;
        let mut answer = Answer {
            tx: self.begin().await?,
            secret,
            is_first: true,
        };
        if let Some(form) = form {
            let (tx, secret) = (&mut answer.tx, &answer.secret);
            answer.is_first = self.keep_answer(tx, form, secret, now).await?;
            if !answer.is_first {
                let sealed = sqlx::query_scalar!(
                    "SELECT answer FROM form_answer WHERE form = $1",
                    &form[..]
                )
                .fetch_one(&mut *answer.tx)
                .await?;
                answer.secret = self.sealer.open(&place(form), &sealed)?;
            }
        }
        Ok(answer)
    }

    /// Keeps an answer, unless there is one already, and returns whether it did. If a form is sent
    /// twice at once, the second waits for the first to be stored.
    pub(super) async fn keep_answer(
        &self,
        connection: &mut PgConnection,
        form: &FormHash,
        answer: &SecretString,
        now: OffsetDateTime,
    ) -> Result<bool> {
        let sealed = self.sealer.seal(&place(form), answer)?;
        let stored = sqlx::query!(
            "INSERT INTO form_answer (form, answer, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            &form[..],
            sealed,
            now,
        )
        .execute(connection)
        .await?;
        Ok(stored.rows_affected() == 1)
    }

    /// Remembers that what a button ends is ended, as [`Store::form_answer`] of `ended`, in the
    /// transaction that ends it.
    pub(super) async fn note_end(
        &self,
        connection: &mut PgConnection,
        ended: &FormHash,
        now: OffsetDateTime,
    ) -> Result<()> {
        let answer = SecretString::from("ended");
        self.keep_answer(connection, ended, &answer, now).await?;
        Ok(())
    }

    /// Seals a form that is kept in a page.
    pub fn seal_form(&self, form: &SecretString) -> Result<Vec<u8>> {
        Ok(self.sealer.seal(KEPT_FORM, form)?)
    }

    pub fn open_form(&self, sealed: &[u8]) -> Result<SecretString> {
        Ok(self.sealer.open(KEPT_FORM, sealed)?)
    }

    /// Deletes the answers that are no longer shown.
    pub(super) async fn forget_answers(&self, now: OffsetDateTime) -> Result<()> {
        sqlx::query!("DELETE FROM form_answer WHERE created_at < $1", now - KEPT)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// What a form was answered with, if that was not long ago.
    pub async fn form_answer(
        &self,
        form: &FormHash,
        now: OffsetDateTime,
    ) -> Result<Option<SecretString>> {
        let sealed = sqlx::query_scalar!(
            "SELECT answer FROM form_answer WHERE form = $1 AND created_at >= $2",
            &form[..],
            now - KEPT,
        )
        .fetch_optional(&self.pool)
        .await?;
        sealed
            .map(|sealed| Ok(self.sealer.open(&place(form), &sealed)?))
            .transpose()
    }
}
