//! Which form the parameters of paths, queries and heads have, by their names.

use utoipa::PartialSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn};

use crate::admin::shapes::{Id, NameText};

/// What goes by a name, in paths and in queries.
const NAMES: [&str; 4] = ["tenant", "policy", "list", "module"];

/// What goes by an id that the host has given.
const IDS: [&str; 2] = ["receipt", "id"];

/// Says which form each has that goes by a name or an id.
pub(super) fn describe(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        let RefOr::T(parameter) = parameter else {
            continue;
        };
        if parameter.parameter_in == ParameterIn::Header {
            continue;
        }
        if NAMES.contains(&parameter.name.as_str()) {
            parameter.schema = Some(NameText::schema());
        } else if IDS.contains(&parameter.name.as_str()) {
            parameter.schema = Some(Id::schema());
        }
    }
}

/// Whether it has this parameter.
pub(super) fn has(operation: &Operation, place: &ParameterIn, name: &str) -> bool {
    all(operation).any(|parameter| parameter.parameter_in == *place && parameter.name == name)
}

/// Whether it has a parameter there.
pub(super) fn any(operation: &Operation, place: &ParameterIn) -> bool {
    all(operation).any(|parameter| parameter.parameter_in == *place)
}

fn all(operation: &Operation) -> impl Iterator<Item = &Parameter> {
    let parameters = operation.parameters.iter().flatten();
    parameters.filter_map(|parameter| match parameter {
        RefOr::T(parameter) => Some(parameter),
        RefOr::Ref(_) => None,
    })
}
