//! Bytes that come in pieces become text: UTF-8 sequences that a piece cuts stay whole, anything else becomes U+FFFD.

/// Decodes one stream; one per stream, or the halves of two streams' characters would meet.
#[derive(Debug, Default, Clone)]
pub struct TextDecoder {
    /// The beginning of a sequence whose end has not come yet, at most three bytes.
    held: Vec<u8>,
}

impl TextDecoder {
    /// A decoder that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the text of the next bytes to `text`.
    pub fn push(&mut self, bytes: &[u8], text: &mut String) {
        let joined;
        let mut rest = if self.held.is_empty() {
            bytes
        } else {
            joined = [std::mem::take(&mut self.held).as_slice(), bytes].concat();
            joined.as_slice()
        };
        loop {
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    return;
                }
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    text.push_str(&String::from_utf8_lossy(valid));
                    let Some(length) = error.error_len() else {
                        after.clone_into(&mut self.held);
                        return;
                    };
                    text.push(char::REPLACEMENT_CHARACTER);
                    rest = &after[length..];
                }
            }
        }
    }

    /// Adds what stands for a sequence that never got its end.
    pub fn finish(&mut self, text: &mut String) {
        if !std::mem::take(&mut self.held).is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_of_text_decode_as_the_whole(bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0xe2), Just(0x82), Just(0xac), Just(b'a')], 0..60), step in 1usize..5) {
            let mut decoder = TextDecoder::new();
            let mut text = String::new();
            for part in bytes.chunks(step) {
                decoder.push(part, &mut text);
            }
            decoder.finish(&mut text);
            prop_assert_eq!(text, String::from_utf8_lossy(&bytes));
        }
    }
}
