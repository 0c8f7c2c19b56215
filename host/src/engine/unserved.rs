//! What a component calls of the interface that this host does not have.
//!
//! Functions may be added to an interface, so a module that was built with a newer SDK fits
//! but for those that came later. wasmtime names the first of them, in words for whoever
//! wrote the host; here all are named, for whoever wrote the policy.

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker};

use super::componentise;
use super::host::Call;
use super::log::kept;
use super::run::Linked;

/// The most that are named.
const NAMED: usize = 5;

/// The functions that a component imports and this host does not serve, such as
/// `portcullis:policy/facts: message.weather`; none where it is not for them that it does
/// not fit.
pub(super) fn unserved(component: &Component) -> Option<String> {
    let mut linker = Linked::linker(component.engine()).ok()?;
    let mut names = Vec::new();
    let component_type = component.component_type();
    for (import, item) in component_type.imports(component.engine()) {
        let (ComponentItem::ComponentInstance(wanted), Some(served)) =
            (item.ty, componentise::as_served(import))
        else {
            continue;
        };
        for (function, item) in wanted.exports(component.engine()) {
            let is_function = matches!(item.ty, ComponentItem::ComponentFunc(_));
            if is_function && !serves(&mut linker, &served, function) {
                names.push(shown(&served, function));
            }
        }
    }
    listed(&names)
}

/// A linker lets nothing be defined twice, and tells of what it has in no other way.
fn serves(linker: &mut Linker<Call>, interface: &str, function: &str) -> bool {
    let instance = linker.instance(interface);
    let defined = instance.and_then(|mut all| all.func_new(function, |_, _, _, _| Ok(())));
    defined.is_err()
}

/// As the interface has it, without the marks of its binary form.
fn shown(interface: &str, function: &str) -> String {
    let interface = interface.split('@').next().unwrap_or_default();
    let function = match function.strip_prefix('[') {
        Some(marked) => marked.split_once(']').map_or(marked, |(_, name)| name),
        None => function,
    };
    let function: String = kept(function).chars().take(100).collect();
    format!("{interface}: {function}")
}

fn listed(names: &[String]) -> Option<String> {
    let all = names.iter().take(NAMED).cloned().collect::<Vec<_>>();
    match names.len() {
        0 => None,
        many if many > NAMED => Some(format!("{} and {} more", all.join(", "), many - NAMED)),
        _ => Some(all.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_interface() {
        let facts = "portcullis:policy/facts@0.1.0";
        for (function, expected) in [
            ("[method]message.weather", "message.weather"),
            ("[constructor]requirements", "requirements"),
            ("look-behind", "look-behind"),
            ("[odd", "odd"),
        ] {
            let expected = format!("portcullis:policy/facts: {expected}");
            assert_eq!(shown(facts, function), expected);
        }
        let names: Vec<_> = ["a", "b", "c", "d", "e", "f", "g"]
            .map(str::to_owned)
            .into();
        assert_eq!(listed(&[]), None);
        assert_eq!(listed(&names[..2]).as_deref(), Some("a, b"));
        assert_eq!(listed(&names[..5]).as_deref(), Some("a, b, c, d, e"));
        assert_eq!(listed(&names).as_deref(), Some("a, b, c, d, e and 2 more"));
    }
}
