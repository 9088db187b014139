//! The rows of definitions: their keys and their values.
//!
//! Only this module declares the stored fields, in the order in which they are written. So the API may change its view of a
//! definition without a change of the stored form.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::codec::{Corrupt, Record, decode_definition, encode_definition};
use super::error::StoreError;
use super::keys::{DefinitionKey, TableKey as _};
use super::reads::scan;
use super::rows::{Key, Read};
use crate::events::{Choice, Choices, ErrorDefinition, JobType, Strike};
use crate::vocabulary::{ChoiceId, ErrorCategory, MetricsTypeId};

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

#[derive(Serialize, Deserialize)]
#[serde(remote = "JobType")]
#[expect(clippy::struct_excessive_bools, reason = "the fields of the specification's example")]
struct StoredJobType {
    id: ChoiceId,
    name: String,
    version: String,
    title: String,
    description: Option<String>,
    category: Option<String>,
    author_name: Option<String>,
    author_url: Option<String>,
    is_system: bool,
    is_long_running: bool,
    is_active: bool,
    is_operational: bool,
    is_paused: bool,
    icon_code: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Strike")]
struct StoredStrike {
    id: ChoiceId,
    name: String,
    title: String,
    description: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ErrorDefinition")]
struct StoredError {
    id: ChoiceId,
    name: String,
    title: String,
    description: Option<String>,
    job_type_name: Option<String>,
    category: ErrorCategory,
    is_builtin: bool,
    should_be_retried: bool,
}

/// A definition that is written as its stored fields.
#[derive(Serialize)]
#[serde(untagged)]
enum Written<'a> {
    JobType(#[serde(serialize_with = "StoredJobType::serialize")] &'a JobType),
    Strike(#[serde(serialize_with = "StoredStrike::serialize")] &'a Strike),
    Error(#[serde(serialize_with = "StoredError::serialize")] &'a ErrorDefinition),
}

#[derive(Deserialize)]
struct ReadJobType(#[serde(with = "StoredJobType")] JobType);

#[derive(Deserialize)]
struct ReadStrike(#[serde(with = "StoredStrike")] Strike);

#[derive(Deserialize)]
struct ReadError(#[serde(with = "StoredError")] ErrorDefinition);

/// Packs a definition into a record.
pub(super) fn encode_choice<'r>(record: &'r mut Record, choice: &Choice) -> &'r [u8] {
    let written = match choice {
        Choice::JobType(job_type) => Written::JobType(job_type),
        Choice::Strike(strike) => Written::Strike(strike),
        Choice::Error(error) => Written::Error(error),
    };
    encode_definition(record, &written)
}

/// Unpacks a definition of a choice of a metrics type.
pub(super) fn decode_choice(metrics: u8, sealed: &[u8]) -> Result<Choice, Corrupt> {
    const JOB_TYPES: u8 = MetricsTypeId::JobTypes as u8;
    const STRIKES: u8 = MetricsTypeId::Ingests as u8;
    const ERRORS: u8 = MetricsTypeId::Errors as u8;
    match metrics {
        JOB_TYPES => decode_definition(sealed).map(|ReadJobType(job_type)| Choice::JobType(Arc::new(job_type))),
        STRIKES => decode_definition(sealed).map(|ReadStrike(strike)| Choice::Strike(Arc::new(strike))),
        ERRORS => decode_definition(sealed).map(|ReadError(error)| Choice::Error(Arc::new(error))),
        _ => Err(Corrupt("a choice has an unknown type")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
