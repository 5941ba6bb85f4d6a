//! W3C trace context: which trace a publish belongs to, for those who follow requests across
//! services. <https://www.w3.org/TR/trace-context/>

use super::text::text;

/// A valid `traceparent` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceParent(String);

text!(TraceParent);

impl TraceParent {
    /// Reads the header. An invalid one is ignored: a broken trace must not stop a publish.
    ///
    /// Only the beginning of a version that is not known yet is read, which all versions share.
    pub fn parse(header: &str) -> Option<Self> {
        let (known, rest) = header.split_at_checked(55)?;
        let fields: Vec<&str> = known.split('-').collect();
        let [version, trace, parent, flags] = fields[..] else {
            return None;
        };
        if version.len() != 2 || !is_hex(version) || version == "ff" {
            return None;
        }
        if !rest.is_empty() && (version == "00" || !rest.starts_with('-')) {
            return None;
        }
        let is_id = |id: &str, length| {
            id.len() == length && is_hex(id) && id.bytes().any(|digit| digit != b'0')
        };
        if !is_id(trace, 32) || !is_id(parent, 16) {
            return None;
        }
        let flags = u8::from_str_radix(flags, 16)
            .ok()
            .filter(|_| is_hex(flags))?;
        // The one flag that version 00 has: whether the caller may have recorded it.
        Some(Self(format!("00-{trace}-{parent}-{:02x}", flags & 1)))
    }

    /// The same trace, for a call that is made on its behalf.
    pub fn child(&self, span: u64) -> Self {
        // Zero is no span.
        let span = span.max(1);
        Self(format!("{}{span:016x}{}", &self.0[..36], &self.0[52..]))
    }

    pub fn trace_id(&self) -> &str {
        &self.0[3..35]
    }

    /// The call within the trace.
    pub fn span_id(&self) -> &str {
        &self.0[36..52]
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes()
        .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the recommendation.
    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_example_is_read_and_passed_on() {
        let parent = TraceParent::parse(EXAMPLE).expect("a trace");
        assert_eq!(parent.as_str(), EXAMPLE);
        assert_eq!(parent.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(parent.span_id(), "00f067aa0ba902b7");
        let child = parent.child(0x1234);
        assert_eq!(
            child.as_str(),
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000001234-01"
        );
        assert_eq!(TraceParent::parse(child.as_str()), Some(child));
        assert_eq!(parent.child(0).span_id(), "0000000000000001");
    }

    #[test]
    fn later_versions_and_flags_are_read_as_far_as_they_are_known() {
        let parse = |header: &str| TraceParent::parse(header).map(|parent| parent.0);
        for header in [
            EXAMPLE.replacen("00-", "cc-", 1),
            EXAMPLE.replacen("00-", "cc-", 1) + "-what-the-future-will-be-like",
            EXAMPLE.replace("-01", "-ff"),
        ] {
            assert_eq!(parse(&header).as_deref(), Some(EXAMPLE), "{header}");
        }
        let unsampled = EXAMPLE.replace("-01", "-00");
        assert_eq!(parse(&unsampled), Some(unsampled.clone()));
    }

    #[test]
    fn what_makes_no_sense_is_none() {
        for header in [
            String::new(),
            "00".into(),
            EXAMPLE.to_uppercase(),
            EXAMPLE.replacen("00-", "ff-", 1),
            EXAMPLE.replacen("00-", "00a-", 1).replace("-01", "-1"),
            EXAMPLE.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            EXAMPLE.replace("00f067aa0ba902b7", &"0".repeat(16)),
            EXAMPLE.replace("4bf92f35", "4bf92f3-"),
            EXAMPLE.replace("4bf92f35", "4bf92fé"),
            EXAMPLE.replace("-01", "-0g"),
            EXAMPLE.replace("-01", "-+1"),
            EXAMPLE.replace("-01", ""),
            format!("{EXAMPLE}-extra"),
            EXAMPLE.replacen("00-", "cc-", 1) + ".extra",
            EXAMPLE.replace('-', "_"),
        ] {
            assert_eq!(TraceParent::parse(&header), None, "{header}");
        }
    }
}
