/// The style sheet, served at `{base}/static/style.css`.
pub const STYLE: &str = include_str!("../../../static/style.css");
/// The script, served at `{base}/static/app.js`.
pub const SCRIPT: &str = include_str!("../../../static/app.js");
/// The browser tab's icon, served at `{base}/static/icon.svg`.
pub const ICON: &str = include_str!("../../../static/icon.svg");

/// Changes whenever an asset does: pages ask for `…?v=VERSION`, so that assets may be cached for ever.
pub const VERSION: u32 = fnv1a(ICON, fnv1a(SCRIPT, fnv1a(STYLE, 0x811c_9dc5)));

/// 32-bit FNV-1a; a fingerprint for caches, not for security.
const fn fnv1a(text: &str, mut hash: u32) -> u32 {
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u32).wrapping_mul(0x0100_0193);
        i += 1;
    }
    hash
}
