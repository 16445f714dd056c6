//! A budget as a person writes it, alone and by name: any text is a budget or one line that says why not; what is taken is
//! inside its ranges and prints as it is read.
#![no_main]

use auto_claude::budget::{parse, parse_entry};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match parse(text) {
        Ok(budget) => {
            assert!(!budget.is_none() && budget.check().is_ok());
            assert_eq!(parse(&budget.to_string()), Ok(budget));
        }
        Err(why) => assert!(!why.is_empty() && !why.contains('\n')),
    }
    if let Ok((name, budget)) = parse_entry(text) {
        assert!(!name.is_empty());
        assert_eq!(parse(&budget.to_string()), Ok(budget));
    }
});
