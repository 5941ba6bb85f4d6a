//! Who signs in, and how: by password here, or by SkyCMS.

pub(crate) mod embed;
mod kept;
pub(crate) mod password;
pub(crate) mod second_step;
pub(crate) mod session;
pub(crate) mod sessions;
pub(crate) mod sign_in;
