//! The tables in partitions/, compiled in.

use super::Partition;
use super::csv::{self, Placement};
use crate::err::Fault;

macro_rules! tables {
    ($($name:literal),+ $(,)?) => {
        /// The names [`builtin`] knows: those of the files in partitions/.
        pub const BUILTIN_NAMES: &[&str] = &[$($name),+];

        fn text(name: &str) -> Option<&'static str> {
            match name {
                $($name => Some(include_str!(concat!("../../../../partitions/", $name, ".csv"))),)+
                _ => None,
            }
        }
    };
}

tables![
    "singleapp",
    "singleapp_coredump",
    "singleapp_large",
    "singleapp_tee",
    "two_ota",
    "two_ota_coredump",
    "two_ota_encr_nvs",
    "two_ota_large",
    "two_ota_tee",
];

/// One of ESP-IDF's own tables (components/partition_table/partitions_*.csv) at the default offset. `None`: no such name.
pub fn builtin(name: &str) -> Option<Result<Vec<Partition>, Fault>> {
    text(name).map(|text| csv::from_csv(text, &Placement::default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_builtin_obeys_the_rules() {
        for name in BUILTIN_NAMES {
            assert!(matches!(builtin(name), Some(Ok(rows)) if !rows.is_empty()), "{name}");
        }
        assert_eq!(builtin("nothing"), None);
    }
}
