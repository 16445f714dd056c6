//! JSON pointers (`/error/message`) into an event, without reading the rest of it.

use std::borrow::Cow;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Most steps of a pointer.
pub(super) const STEPS_MAX: usize = 8;

/// A way into a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pointer(Vec<String>);

impl Pointer {
    /// Reads a pointer as RFC 6901 has it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let Some(body) = text.strip_prefix('/') else {
            return Err(format!(
                "{text:?} is no JSON pointer: it begins with \"/\", as in /error/message"
            ));
        };
        let steps: Vec<String> = body
            .split('/')
            .map(|step| step.replace("~1", "/").replace("~0", "~"))
            .collect();
        if steps.len() > STEPS_MAX {
            return Err(format!("{text:?} has more than {STEPS_MAX} steps"));
        }
        Ok(Self(steps))
    }

    /// What is there.
    pub(super) fn find<'a>(&self, value: &'a RawValue) -> Option<&'a RawValue> {
        let mut json = serde_json::Deserializer::from_str(value.get());
        Find(&self.0).deserialize(&mut json).ok().flatten()
    }
}

struct Find<'p>(&'p [String]);

impl<'de> DeserializeSeed<'de> for Find<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        match self.0.split_first() {
            None => serde::Deserialize::deserialize(deserializer).map(Some),
            Some((step, rest)) => deserializer.deserialize_any(Step { step, rest }),
        }
    }
}

struct Step<'p> {
    step: &'p str,
    rest: &'p [String],
}

impl<'de> Visitor<'de> for Step<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object or a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if key == self.step {
                found = map.next_value_seed(Find(self.rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let wanted: Option<usize> = self.step.parse().ok();
        let mut found = None;
        let mut index = 0_usize;
        loop {
            if wanted == Some(index) {
                let Some(value) = list.next_element_seed(Find(self.rest))? else {
                    return Ok(found);
                };
                found = value;
            } else if list.next_element::<IgnoredAny>()?.is_none() {
                return Ok(found);
            }
            index = index.saturating_add(1);
        }
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(pointer: &str, json: &str) -> Option<String> {
        let value = RawValue::from_string(json.to_owned()).unwrap();
        let found = Pointer::parse(pointer).unwrap().find(&value)?;
        Some(found.get().to_owned())
    }

    #[test]
    fn pointers_find_what_serde_finds() {
        let json = r#"{"a":{"b":[10,{"c":"x"}],"":1},"a/b":2,"m~n":3,"d":null,"e":"s","f":1.5,"g":true,"h":-1}"#;
        let value: serde_json::Value = serde_json::from_str(json).unwrap();
        for pointer in [
            "/a", "/a/b", "/a/b/0", "/a/b/1/c", "/a/b/2", "/a/", "/a~1b", "/m~0n", "/d", "/d/x",
            "/e/x", "/f/x", "/g/x", "/h/x", "/x", "/a/b/c",
        ] {
            let found: Option<serde_json::Value> =
                find(pointer, json).map(|found| serde_json::from_str(&found).unwrap());
            assert_eq!(found.as_ref(), value.pointer(pointer), "{pointer}");
        }
    }

    #[test]
    fn what_is_no_pointer_is_refused() {
        assert!(Pointer::parse("a/b").is_err());
        assert!(Pointer::parse("").is_err());
        assert!(Pointer::parse(&"/a".repeat(STEPS_MAX)).is_ok());
        assert!(Pointer::parse(&"/a".repeat(STEPS_MAX + 1)).is_err());
    }

    #[test]
    fn depth_beside_the_way_is_no_matter() {
        let json = format!(
            "{{\"x\":{}{},\"a\":1}}",
            "[".repeat(50_000),
            "]".repeat(50_000)
        );
        assert_eq!(find("/a", &json).as_deref(), Some("1"));
        assert_eq!(
            find("/x/0/0", &json).map(|found| found.len()),
            Some(2 * 49_998)
        );
    }
}
