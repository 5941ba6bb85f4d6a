//! The service's pages, as its administrator uses them.

use crate::Failure;
use crate::http::Connection;
use crate::service::ADMIN_PASSWORD;

/// Signs in, and gives the cookie.
pub(crate) fn sign_in(connection: &mut Connection) -> Result<String, Failure> {
    let form = format!("username=admin&password={ADMIN_PASSWORD}");
    let answer = connection.call("POST", "/sign-in", &form_headers(""), &form)?;
    let cookies: Vec<&str> = answer
        .head
        .lines()
        .filter_map(|line| line.strip_prefix("set-cookie: ")?.split(';').next())
        .collect();
    if answer.status != 303 || cookies.is_empty() {
        return Err(format!("signing in was answered {}", answer.status).into());
    }
    Ok(cookies.join("; "))
}

/// Sends a form of a page, whose answer leads on if it was taken.
pub(crate) fn submit(
    connection: &mut Connection,
    cookie: &str,
    path: &str,
    form: &str,
) -> Result<(), Failure> {
    let answer = connection.call("POST", path, &form_headers(cookie), form)?;
    if answer.status != 303 {
        return Err(format!("POST {path} was answered {}", answer.status).into());
    }
    Ok(())
}

pub(crate) fn form_headers(cookie: &str) -> String {
    format!(
        "content-type: application/x-www-form-urlencoded\r\nsec-fetch-site: same-origin\r\ncookie: {cookie}\r\n"
    )
}
