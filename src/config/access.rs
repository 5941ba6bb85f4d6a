//! Who is let in, and from where.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;
use secrecy::SecretString;
use url::Url;

use super::{ConfigError, SkyCmsConfig, Variables, error};
use crate::domain::{HookSecret, NewKeyPair, NewPassword, NotAKeyPair};

/// The length of the secret that SkyCMS shares with this service: at least that of HS256's hash.
const EMBED_SECRET_LENGTHS: RangeInclusive<usize> = 32..=1_024;

#[derive(Clone, Debug, Default)]
pub struct AccessConfig {
    /// The admin's password at first start; `None` where a one-time link sets it.
    pub admin_password: Option<NewPassword>,
    /// The signing secret of site `default` at first start; `None` where one is generated.
    pub hook_secret: Option<SecretString>,
    /// The key pair of site `default` at first start; `None` where none is made.
    pub key_pair: Option<NewKeyPair>,
    /// Shared with SkyCMS, whose tokens it signs; `None` if SkyCMS cannot sign anybody in.
    pub embed_secret: Option<SecretString>,
    /// SkyCMS, where its own session signs people in.
    pub skycms: Option<SkyCmsConfig>,
    /// Origins that may frame the pages.
    pub embed_origins: Vec<String>,
    /// Proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<IpNet>,
}

impl AccessConfig {
    pub(super) fn read(vars: &Variables<'_>) -> Result<Self, ConfigError> {
        let admin_password = vars
            .secret("ADMIN_PASSWORD")?
            .map(|text| {
                NewPassword::parse(&text).map_err(|e| error("ADMIN_PASSWORD", e.to_string()))
            })
            .transpose()?;
        let hook_secret = vars.secret("PUBLISH_HOOK_SECRET")?;
        if let Some(secret) = &hook_secret {
            HookSecret::check(secret).map_err(|e| error("PUBLISH_HOOK_SECRET", e.to_string()))?;
        }
        Ok(Self {
            admin_password,
            hook_secret,
            key_pair: key_pair(vars)?,
            embed_secret: vars.unguessable("EMBED_JWT_SECRET", EMBED_SECRET_LENGTHS)?,
            skycms: SkyCmsConfig::read(vars)?,
            embed_origins: vars.list("EMBED_ORIGINS", origin)?,
            trusted_proxies: vars.list("TRUSTED_PROXIES", network)?,
        })
    }
}

fn key_pair(vars: &Variables<'_>) -> Result<Option<NewKeyPair>, ConfigError> {
    let (id, secret) = ("PUBLISH_ACCESS_KEY_ID", "PUBLISH_SECRET_ACCESS_KEY");
    let needed = |name| {
        error(
            name,
            "is needed together with the other half of the key pair",
        )
    };
    match (vars.text(id)?, vars.secret(secret)?) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(needed(id)),
        (Some(_), None) => Err(needed(secret)),
        (Some(access_key_id), Some(text)) => NewKeyPair::parse(access_key_id, text)
            .map(Some)
            .map_err(|problem| {
                let variable = match problem {
                    NotAKeyPair::AccessKeyId => id,
                    NotAKeyPair::Secret | NotAKeyPair::SoonGuessed => secret,
                };
                error(variable, problem.to_string())
            }),
    }
}

fn origin(text: &str) -> Result<String, String> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some())
        .filter(|url| url.path() == "/" && url.query().is_none() && url.fragment().is_none())
        .map(|url| url.origin().ascii_serialization())
        .ok_or_else(|| format!("`{text}` is not an origin such as https://editor.example.com"))
}

fn network(text: &str) -> Result<IpNet, String> {
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .ok()
        .and_then(canonical)
        .ok_or_else(|| format!("`{text}` is not an address or a network such as 10.1.2.0/24"))
}

/// The network in the form that callers' addresses are compared with: IPv4 within IPv6, such as
/// `::ffff:10.1.2.0/120`, becomes IPv4. `None` if it is wider than all of IPv4.
fn canonical(network: IpNet) -> Option<IpNet> {
    let address = network.addr().to_canonical();
    if address == network.addr() {
        return Some(network);
    }
    let prefix = network.prefix_len().checked_sub(96)?;
    IpNet::new(address, prefix).ok()
}
