//! How much may wait to be stored: in all, of one site and of one publisher, such as a token, so
//! that none takes the room of others.

/// How much waits, or may wait.
#[derive(Clone, Copy, Debug, Default)]
pub struct Load {
    pub publishes: usize,
    /// The length of their items.
    pub bytes: usize,
}

impl Load {
    /// The most in all: as many publishes as there may be connections.
    pub const MAX: Self = Self {
        publishes: 2_048,
        bytes: 32 << 20,
    };
    pub const MAX_PER_SITE: Self = Self {
        publishes: 1_024,
        bytes: 4 << 20,
    };
    pub const MAX_PER_PUBLISHER: Self = Self {
        publishes: 768,
        bytes: 3 << 20,
    };

    pub const fn has_reached(self, most: Self) -> bool {
        self.publishes >= most.publishes || self.bytes >= most.bytes
    }

    pub const fn add(&mut self, bytes: usize) {
        self.publishes += 1;
        self.bytes += bytes;
    }

    pub const fn remove(&mut self, bytes: usize) {
        self.publishes -= 1;
        self.bytes -= bytes;
    }
}
