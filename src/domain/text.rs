//! Texts that have been checked, each with a type of its own.

/// Gives a type that wraps such a text what all of them have: its text, borrowed and displayed.
macro_rules! text {
    ($type:ident) => {
        impl $type {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl ::std::fmt::Display for $type {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

pub(super) use text;
