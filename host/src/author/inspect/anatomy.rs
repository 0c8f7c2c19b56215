//! What a module is made of: names, sections, functions.
//!
//! A pure function of bytes, which may be anything. What is kept is bounded, whatever the
//! module claims to have.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};

use serde::Serialize;
use wasmparser::{
    BinaryReaderError, CustomSectionReader, KnownCustom, Name, Parser, Payload, TypeRef,
};

/// The largest functions that are kept, and names of imports, exports and sections: more
/// than anybody reads.
const KEPT: usize = 1_000;
/// The package whose version is that of the interface.
const PACKAGE: &str = "portcullis:policy/";

/// A module, taken apart.
#[derive(Debug, Serialize)]
pub struct Anatomy {
    /// What it is.
    pub form: Form,
    /// Versions of the interface that its imports and exports name: one, as a rule.
    pub interface: BTreeSet<String>,
    /// What the outermost module or component imports; of a core module, each interface
    /// once.
    pub imports: BTreeSet<String>,
    /// What it exports.
    pub exports: BTreeSet<String>,
    /// Bytes by kind of section, those of modules within a component together; the largest
    /// first.
    pub sections: Vec<Section>,
    /// How many functions it has.
    pub function_count: usize,
    /// The largest functions, the largest first.
    pub functions: Vec<Function>,
}

/// What was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// A core module, as cargo writes it.
    Module,
    /// A component, as `portcullis build` writes it.
    Component,
}

/// Sections of one kind.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Section {
    /// As the specification calls them; a custom section has its own name.
    pub name: String,
    /// In bytes, without their headers.
    pub size: usize,
}

/// One function.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Function {
    /// Its name, demangled, where the module has names.
    pub name: Option<String>,
    /// Its number within its module.
    pub number: u32,
    /// Of its body, in bytes.
    pub size: usize,
}

impl Anatomy {
    /// Takes a module or component apart; what is no WebAssembly, or is damaged, is said.
    ///
    /// # Errors
    /// Where it is neither, or not whole.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let form = if Parser::is_component(bytes) {
            Form::Component
        } else if Parser::is_core_wasm(bytes) {
            Form::Module
        } else {
            return Err("this is not WebAssembly".to_owned());
        };
        let mut reading = Reading::default();
        for payload in Parser::new(0).parse_all(bytes) {
            let noted = payload.and_then(|payload| reading.note(&payload));
            noted.map_err(|error| format!("this WebAssembly is damaged or cut short: {error}"))?;
        }
        Ok(reading.finish(form))
    }
}

/// A body: its size, and in which module which function it is.
type Body = (usize, Reverse<usize>, Reverse<u32>);

#[derive(Default)]
struct Reading {
    /// The modules and components that are open, innermost last.
    open: Vec<Open>,
    /// Modules begun so far.
    modules: usize,
    imports: BTreeSet<String>,
    exports: BTreeSet<String>,
    sections: BTreeMap<String, usize>,
    function_count: usize,
    /// The largest so far, the smallest of them on top.
    bodies: BinaryHeap<Reverse<Body>>,
    /// The names of those, as far as they were read: of what is not kept there is none, so
    /// that however many modules there are, there are no more names than functions.
    names: HashMap<(usize, u32), Option<String>>,
}

#[derive(Default)]
struct Open {
    /// Its place among all modules.
    place: usize,
    /// The number that its next function has; those that are imported come first.
    next: u32,
    /// Its names were read: what more there are is not looked at.
    is_named: bool,
}

impl Reading {
    fn note(&mut self, payload: &Payload<'_>) -> Result<(), BinaryReaderError> {
        self.note_size(payload);
        match payload {
            Payload::Version { .. } => {
                self.open.push(Open {
                    place: self.modules,
                    ..Open::default()
                });
                self.modules += 1;
            }
            Payload::End(_) => {
                self.open.pop();
            }
            Payload::ImportSection(_)
            | Payload::ExportSection(_)
            | Payload::ComponentImportSection(_)
            | Payload::ComponentExportSection(_) => self.note_names(payload)?,
            Payload::CodeSectionEntry(body) => self.note_body(body.range().len()),
            Payload::CustomSection(section) => self.note_function_names(section),
            _ => {}
        }
        Ok(())
    }

    fn note_size(&mut self, payload: &Payload<'_>) {
        let name = match payload {
            // What is in them is counted by itself.
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => return,
            Payload::CustomSection(section) => section.name(),
            other => section_name(other),
        };
        if let Some((_, range)) = payload.as_section() {
            let known = self.sections.contains_key(name) || self.sections.len() < KEPT;
            let name = if known { name } else { "others" };
            *self.sections.entry(name.to_owned()).or_default() += range.len();
        }
    }

    fn note_names(&mut self, payload: &Payload<'_>) -> Result<(), BinaryReaderError> {
        let outermost = self.open.len() == 1;
        let mut import = |name: &str| keep(&mut self.imports, name, outermost);
        let mut export = |name: &str| keep(&mut self.exports, name, outermost);
        match payload {
            Payload::ImportSection(section) => {
                for one in section.clone().into_imports() {
                    let one = one?;
                    import(one.module);
                    let is_function = matches!(one.ty, TypeRef::Func(_) | TypeRef::FuncExact(_));
                    if let (true, Some(open)) = (is_function, self.open.last_mut()) {
                        open.next = open.next.saturating_add(1);
                    }
                }
            }
            Payload::ComponentImportSection(section) => {
                for one in section.clone() {
                    import(one?.name.name);
                }
            }
            Payload::ExportSection(section) => {
                for one in section.clone() {
                    export(one?.name);
                }
            }
            Payload::ComponentExportSection(section) => {
                for one in section.clone() {
                    export(one?.name.name);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn note_body(&mut self, size: usize) {
        let Some(open) = self.open.last_mut() else {
            return;
        };
        let body = (size, Reverse(open.place), Reverse(open.next));
        self.names.insert((open.place, open.next), None);
        open.next = open.next.saturating_add(1);
        self.function_count += 1;
        self.bodies.push(Reverse(body));
        if self.bodies.len() > KEPT
            && let Some(Reverse((_, Reverse(place), Reverse(number)))) = self.bodies.pop()
        {
            self.names.remove(&(place, number));
        }
    }

    /// Names come behind what they name, in one section of a module. Those that cannot be
    /// read are as good as none.
    fn note_function_names(&mut self, section: &CustomSectionReader<'_>) {
        let (KnownCustom::Name(names), Some(open)) = (section.as_known(), self.open.last_mut())
        else {
            return;
        };
        if std::mem::replace(&mut open.is_named, true) {
            return;
        }
        for name in names.into_iter().map_while(Result::ok) {
            let Name::Function(map) = name else { continue };
            for naming in map.into_iter().map_while(Result::ok) {
                if let Some(kept) = self.names.get_mut(&(open.place, naming.index)) {
                    *kept = Some(crate::engine::demangled(naming.name));
                }
            }
        }
    }

    fn finish(mut self, form: Form) -> Anatomy {
        let all = self.imports.iter().chain(&self.exports);
        let interface = all.filter_map(|name| version(name)).collect();
        let sections = self.sections.into_iter();
        let mut sections: Vec<_> = sections
            .map(|(name, size)| Section { name, size })
            .collect();
        sections.sort_by_key(|section| Reverse(section.size));
        let functions = self.bodies.into_sorted_vec().into_iter();
        let functions =
            functions.map(
                |Reverse((size, Reverse(place), Reverse(number)))| Function {
                    name: self.names.remove(&(place, number)).flatten(),
                    number,
                    size,
                },
            );
        Anatomy {
            form,
            interface,
            sections,
            function_count: self.function_count,
            functions: functions.collect(),
            imports: self.imports,
            exports: self.exports,
        }
    }
}

fn keep(names: &mut BTreeSet<String>, name: &str, outermost: bool) {
    if outermost && names.len() < KEPT {
        names.insert(name.to_owned());
    }
}

/// The version in `portcullis:policy/facts@0.1.0`, or in an export of a core module.
fn version(name: &str) -> Option<String> {
    let name = name.strip_prefix("cm32p2|").unwrap_or(name);
    let (_, version) = name.strip_prefix(PACKAGE)?.split_once('@')?;
    version.split('#').next().map(str::to_owned)
}

fn section_name(payload: &Payload<'_>) -> &'static str {
    match payload {
        Payload::TypeSection(_) => "types",
        Payload::ImportSection(_) | Payload::ComponentImportSection(_) => "imports",
        Payload::FunctionSection(_) => "functions",
        Payload::TableSection(_) => "tables",
        Payload::MemorySection(_) => "memories",
        Payload::GlobalSection(_) => "globals",
        Payload::ExportSection(_) | Payload::ComponentExportSection(_) => "exports",
        Payload::ElementSection(_) => "elements",
        Payload::DataSection(_) | Payload::DataCountSection { .. } => "data",
        Payload::CodeSectionStart { .. } => "code",
        _ => "composition",
    }
}
