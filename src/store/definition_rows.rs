//! The rows of definitions: their keys and their values.
//!
//! The fields of `events::choice` are written in their order, as the details endpoint shows them. If the API is to show others,
//! the stored ones have to be declared here: the golden bytes in the tests must stay.

use std::sync::Arc;

use super::codec::{Corrupt, Record, decode_definition, encode_definition};
use super::error::StoreError;
use super::keys::{DefinitionKey, TableKey as _};
use super::reads::scan;
use super::rows::{Key, Read};
use crate::events::{Choice, Choices};
use crate::vocabulary::MetricsTypeId;

/// Returns the key of a definition's row.
pub(super) fn definition_key(choice: &Choice) -> Key {
    let (metrics, id) = choice.key();
    DefinitionKey { metrics: metrics as u8, id: id.get() }.key()
}

/// Reads all definitions.
pub(super) fn read_definitions(rows: &dyn Read) -> Result<Choices, StoreError> {
    let mut choices = Choices::default();
    scan(rows, .., |key: DefinitionKey, definition| {
        choices.define(decode_choice(key.metrics, definition)?);
        Ok::<_, StoreError>(())
    })?;
    Ok(choices)
}

/// Packs a definition into a record.
pub(super) fn encode_choice<'r>(record: &'r mut Record, choice: &Choice) -> &'r [u8] {
    match choice {
        Choice::JobType(job_type) => encode_definition(record, job_type),
        Choice::Strike(strike) => encode_definition(record, strike),
        Choice::Error(error) => encode_definition(record, error),
    }
}

/// Unpacks a definition of a choice of a metrics type.
pub(super) fn decode_choice(metrics: u8, sealed: &[u8]) -> Result<Choice, Corrupt> {
    const JOB_TYPES: u8 = MetricsTypeId::JobTypes as u8;
    const STRIKES: u8 = MetricsTypeId::Ingests as u8;
    const ERRORS: u8 = MetricsTypeId::Errors as u8;
    match metrics {
        JOB_TYPES => decode_definition(sealed).map(|it| Choice::JobType(Arc::new(it))),
        STRIKES => decode_definition(sealed).map(|it| Choice::Strike(Arc::new(it))),
        ERRORS => decode_definition(sealed).map(|it| Choice::Error(Arc::new(it))),
        _ => Err(Corrupt("a choice has an unknown type")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{ErrorDefinition, JobType, Strike};
    use crate::vocabulary::{ChoiceId, ErrorCategory};

    /// The bytes of definitions in the first format. If this test fails, the program can no longer read stored databases: the
    /// change needs a new format.
    #[test]
    fn the_stored_form_of_definitions_stays() {
        let text = |text: &str| Some(text.to_owned());
        let id = |id| ChoiceId::new(id).expect("an id");
        let job_type = JobType {
            id: id(7),
            name: "n".to_owned(),
            version: "1.0".to_owned(),
            title: "T".to_owned(),
            description: text("d"),
            category: None,
            author_name: text("a"),
            author_url: text("u"),
            is_system: true,
            is_long_running: false,
            is_active: true,
            is_operational: false,
            is_paused: true,
            icon_code: text("i"),
        };
        let strike = Strike { id: id(300), name: "s".to_owned(), title: "S".to_owned(), description: None };
        let error = ErrorDefinition {
            id: id(70_000),
            name: "e".to_owned(),
            title: "E".to_owned(),
            description: text("d"),
            job_type_name: text("j"),
            category: ErrorCategory::Algorithm,
            is_builtin: true,
            should_be_retried: false,
        };
        for (choice, golden) in [
            (Choice::JobType(Arc::new(job_type)), GOLDEN_JOB_TYPE),
            (Choice::Strike(Arc::new(strike)), GOLDEN_STRIKE),
            (Choice::Error(Arc::new(error)), GOLDEN_ERROR),
        ] {
            let mut record = Record::default();
            let bytes = encode_choice(&mut record, &choice);
            assert_eq!(bytes, golden, "{bytes:#04x?}");
            assert_eq!(decode_choice(choice.key().0 as u8, golden).expect("it is read"), choice);
        }
    }

    const GOLDEN_JOB_TYPE: &[u8] = &[
        0x01, 0x07, 0x01, 0x6e, 0x03, 0x31, 0x2e, 0x30, 0x01, 0x54, 0x01, 0x01, 0x64, 0x00, 0x01, 0x01, 0x61, 0x01,
        0x01, 0x75, 0x01, 0x00, 0x01, 0x00, 0x01, 0x01, 0x01, 0x69, 0x87, 0xe9, 0x72, 0x36,
    ];
    const GOLDEN_STRIKE: &[u8] = &[0x01, 0xfb, 0x2c, 0x01, 0x01, 0x73, 0x01, 0x53, 0x00, 0xef, 0xa8, 0x8b, 0xd3];
    const GOLDEN_ERROR: &[u8] = &[
        0x01, 0xfc, 0x70, 0x11, 0x01, 0x00, 0x01, 0x65, 0x01, 0x45, 0x01, 0x01, 0x64, 0x01, 0x01, 0x6a, 0x02, 0x01,
        0x00, 0x8a, 0x25, 0xe2, 0xcb,
    ];
}
