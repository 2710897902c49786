//! The tokens of a text: each delimiter (`: , { } [ ] "`) that no backslash precedes is one, and so is what lies between two.

/// Walks over the tokens of a text. Indexes count bytes.
pub(super) struct Tokens<'a> {
    text: &'a str,
    at: usize,
    /// A token that was looked at but not taken; `at` is behind it.
    peeked: Option<&'a str>,
}

/// `String.trim`.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(|character| character <= ' ')
}

impl<'a> Tokens<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, peeked: None }
    }

    /// The whole text.
    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    /// What was not taken.
    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.mark()..]
    }

    /// Where the next token starts, for [`Self::rewind`].
    pub(super) fn mark(&self) -> usize {
        self.at - self.peeked.map_or(0, str::len)
    }

    pub(super) fn rewind(&mut self, mark: usize) {
        self.at = mark;
        self.peeked = None;
    }

    pub(super) fn has_next(&self) -> bool {
        self.peeked.is_some() || self.at < self.text.len()
    }

    /// Takes the next token; empty at the end.
    pub(super) fn next(&mut self) -> &'a str {
        self.peeked.take().unwrap_or_else(|| self.read())
    }

    /// Takes that many tokens as one text, or none if there are fewer.
    pub(super) fn next_joined(&mut self, count: usize) -> Option<&'a str> {
        let start = self.mark();
        for _ in 0..count {
            if !self.has_next() {
                self.rewind(start);
                return None;
            }
            self.next();
        }
        Some(&self.text[start..self.at])
    }

    /// Takes the next token if it is this one, white space aside. Blank tokens before the end are skipped in either case.
    pub(super) fn take(&mut self, expected: &str) -> bool {
        if !self.has_next() {
            return false;
        }
        let mut token = self.next();
        while trim(token).is_empty() && self.at < self.text.len() {
            token = self.read();
        }
        let found = trim(token) == expected;
        if !found {
            self.peeked = Some(token);
        }
        found
    }

    fn read(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let mut escaped = false;
        let mut len = rest.len();
        for (index, byte) in rest.bytes().enumerate() {
            match byte {
                b'\\' => escaped = !escaped,
                b':' | b',' | b'{' | b'}' | b'[' | b']' | b'"' if !escaped => {
                    len = index.max(1);
                    break;
                }
                _ => escaped = false,
            }
        }
        self.at += len;
        &rest[..len]
    }
}
