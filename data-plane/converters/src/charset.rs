//! The encodings that `converter.encoding` may name, with Java's replacements for what cannot be mapped.

use data_plane_record::java_text;

/// An encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Charset {
    #[default]
    Utf8,
    Latin1,
    Ascii,
    Windows1252,
    /// Big-endian; written with a byte order mark, read by the mark if there is one.
    Utf16,
    Utf16Be,
    Utf16Le,
}

/// Windows-1252 at 0x80 to 0x9F; U+FFFD where nothing is defined.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{fffd}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{fffd}', 'Ž', '\u{fffd}', '\u{fffd}',
    '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{fffd}', 'ž', 'Ÿ',
];

impl Charset {
    /// The encoding of a Java name or alias, in any case.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "utf-8" | "utf8" | "unicode-1-1-utf-8" => Self::Utf8,
            "iso-8859-1" | "iso8859-1" | "iso8859_1" | "iso_8859-1" | "latin1" | "l1" | "8859_1" | "cp819" => {
                Self::Latin1
            }
            "us-ascii" | "ascii" | "iso646-us" | "ascii7" | "cp367" => Self::Ascii,
            "windows-1252" | "cp1252" => Self::Windows1252,
            "utf-16" | "utf16" | "utf_16" | "unicode" => Self::Utf16,
            "utf-16be" | "utf_16be" => Self::Utf16Be,
            "utf-16le" | "utf_16le" => Self::Utf16Le,
            _ => return None,
        })
    }

    /// Bytes of a text; what the encoding lacks becomes `?`.
    pub(crate) fn encode(self, text: &str) -> Vec<u8> {
        let single = |limit: u32| text.chars().map(|c| if (c as u32) < limit { c as u8 } else { b'?' }).collect();
        match self {
            Self::Utf8 => text.as_bytes().to_vec(),
            Self::Latin1 => single(0x100),
            Self::Ascii => single(0x80),
            Self::Windows1252 => text
                .chars()
                .map(|character| match WINDOWS_1252.iter().position(|&known| known == character) {
                    Some(index) if character != '\u{fffd}' => 0x80 + index as u8,
                    _ if character < '\u{80}' || ('\u{a0}'..='\u{ff}').contains(&character) => character as u8,
                    _ => b'?',
                })
                .collect(),
            Self::Utf16 if text.is_empty() => Vec::new(),
            Self::Utf16 => [0xfe, 0xff].into_iter().chain(text.encode_utf16().flat_map(u16::to_be_bytes)).collect(),
            Self::Utf16Be => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
            Self::Utf16Le => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        }
    }

    /// Text of bytes; what is malformed becomes U+FFFD.
    pub(crate) fn decode(self, bytes: &[u8]) -> String {
        match self {
            Self::Utf8 => java_text::decode_utf8(bytes).into_owned(),
            Self::Latin1 => bytes.iter().map(|&byte| char::from(byte)).collect(),
            Self::Ascii => bytes.iter().map(|&byte| if byte < 0x80 { char::from(byte) } else { '\u{fffd}' }).collect(),
            Self::Windows1252 => bytes
                .iter()
                .map(|&byte| match byte {
                    0x80..=0x9f => WINDOWS_1252[usize::from(byte) - 0x80],
                    _ => char::from(byte),
                })
                .collect(),
            Self::Utf16 => match bytes {
                [0xff, 0xfe, rest @ ..] => decode_utf16(rest, u16::from_le_bytes),
                [0xfe, 0xff, rest @ ..] => decode_utf16(rest, u16::from_be_bytes),
                _ => decode_utf16(bytes, u16::from_be_bytes),
            },
            Self::Utf16Be => decode_utf16(bytes, u16::from_be_bytes),
            Self::Utf16Le => decode_utf16(bytes, u16::from_le_bytes),
        }
    }
}

/// As Java's decoder: one replacement for a high surrogate and the unit after it, for what is left at the end, and for a reversed mark.
fn decode_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    const REVERSED_MARK: u16 = 0xfffe;
    let (pairs, odd) = bytes.as_chunks::<2>();
    let mut units = pairs.iter().map(|&pair| unit(pair));
    let mut text = String::with_capacity(bytes.len());
    let mut is_whole = odd.is_empty();
    while let Some(first) = units.next() {
        let decoded = match first {
            REVERSED_MARK => None,
            0xd800..=0xdbff => match units.next() {
                Some(second) => char::decode_utf16([first, second]).next().and_then(Result::ok),
                None => {
                    is_whole = true;
                    None
                }
            },
            _ => char::from_u32(u32::from(first)),
        };
        text.push(decoded.unwrap_or(char::REPLACEMENT_CHARACTER));
    }
    if !is_whole {
        text.push(char::REPLACEMENT_CHARACTER);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_utf_16_is_replaced_as_java_does() {
        for (bytes, expected) in [
            (&b"\x00a\xd8\x3d\xde\x00"[..], "a😀"),
            (b"\xd8\x3d\x00a", "\u{fffd}"),
            (b"\xd8\x3d\xd8\x3d\x00a", "\u{fffd}a"),
            (b"\xde\x00\x00a", "\u{fffd}a"),
            (b"\x00a\xd8\x3d\x00", "a\u{fffd}"),
            (b"\x00a\x00", "a\u{fffd}"),
            (b"\x00a\xff\xfe", "a\u{fffd}"),
        ] {
            assert_eq!(Charset::Utf16Be.decode(bytes), expected, "{bytes:?}");
        }
    }
}
