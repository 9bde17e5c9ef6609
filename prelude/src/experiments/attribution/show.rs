//! What the results show of themselves at the end of a cell.

use super::{AttributionMatrix, ComponentLabels, ComponentSpecialisation, TextCompleteness};
use crate::Result;
use std::fmt;
use std::path::Path;

macro_rules! shows {
    ($name:ty, $what:literal, $shown:ident) => {
        impl $name {
            /// [`Self::save`], by the name that other results have.
            ///
            /// # Errors
            /// As [`Self::save`].
            pub fn export(&self, path: impl AsRef<Path>) -> Result<()> {
                self.save(path)
            }

            #[doc = concat!("Shows the ", $what, " in an evcxr front end; called by evcxr for a value at the end of a cell.")]
            pub fn evcxr_display(&self) {
                self.$shown().evcxr_display()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.table())
            }
        }

        crate::identity::debug_as_display!($name);
    };
}

shows!(AttributionMatrix, "chart", chart);
shows!(ComponentLabels, "table", table);
shows!(ComponentSpecialisation, "table", table);
shows!(TextCompleteness, "table", table);
