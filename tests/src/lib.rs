//! End-to-end tests of Portcullis; all of them are in `tests/suite`.
