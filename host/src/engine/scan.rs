//! The first look at an upload, in the compile worker: what is it, and is it small
//! enough in every direction to be compiled?
//!
//! A size limit does not bound the cost of compiling: 12 KB of nested loops keep an
//! optimising compiler busy for minutes. What is counted here is what makes compilers
//! slow; what gets past it meets the worker's own limits. Debug information and other
//! custom sections are stripped before anything is counted; of names those of functions stay,
//! within a bound of their own, and are never a reason to refuse.

use wasmparser::{
    BinaryReaderError, CustomSectionReader, FunctionBody, Operator, Parser, Payload, TypeRef,
};

use super::names;

/// Number of the rules of admission: what this file, `componentise`, the manifest's check
/// and the schema's let through. Raise it with every change that refuses more: a module
/// in the cache was admitted by the rules of its day, and is looked at again when this
/// number is another. So it is with what is kept of one: the third keeps names.
pub(super) const ADMISSION: u32 = 3;

/// Functions, all modules of a component together. The Internet Computer's cap; a
/// Rust policy has some hundred, an embedded interpreter ten thousand.
const FUNCTIONS: usize = 50_000;
/// Globals. The Internet Computer's cap; Rust uses three.
const GLOBALS: usize = 1_000;
/// Locals of one function: the largest of an unoptimised Rust build have hundreds.
const LOCALS: usize = 10_000;
/// Locals of all functions: a hundred per function for ten thousand functions. The
/// compiler spends time on each, used or not.
const ALL_LOCALS: usize = 1_000_000;
/// Bytes of one function: an interpreter's main loop is about 200 KB.
const BODY: usize = 512 << 10;
/// Depth of blocks: a `match` of a few hundred arms nests as deeply.
const DEPTH: usize = 1_000;
/// Depth of loops: nobody writes more than ten, and each multiplies the compiler's
/// work by the locals that live across it.
const LOOPS: usize = 64;
/// One memory per instance, since the cap is per memory.
const MEMORIES: usize = 1;
/// What the pool has room for.
const TABLES: usize = super::tuning::TABLES as usize;
/// Types, imports, exports, segments of one kind, instances, aliases: a large policy
/// has some hundred of each.
const ENTRIES: usize = 10_000;
/// Modules and components nested in a component; wit-component makes three.
const NESTED: usize = 32;
/// Depth of their nesting.
const NESTING: usize = 4;
/// Bytes that remain after stripping: an embedded interpreter has eight million, a
/// policy in Rust a hundred thousand.
const CODE: usize = 12 << 20;

/// Id of a custom section.
const CUSTOM: u8 = 0;

/// An upload that may be compiled.
#[derive(Debug)]
pub(super) struct Scanned {
    pub(super) kind: Kind,
    /// Without custom sections, but with the names of functions.
    pub(super) bytes: Vec<u8>,
    /// What the outermost module or component imports: for a core module the module
    /// names, for a component the import names.
    pub(super) imports: Vec<String>,
    /// What it exports.
    pub(super) exports: Vec<String>,
}

/// What was uploaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// As `cargo build --target wasm32-unknown-unknown` writes it.
    Module,
    /// Finished.
    Component,
}

/// Why an upload is not even compiled.
#[derive(Debug, thiserror::Error)]
pub(super) enum ScanError {
    #[error("this file is empty: build the policy again")]
    Empty,
    #[error("this is not WebAssembly: take the .wasm file that `portcullis build` or cargo wrote")]
    NotWasm,
    #[error("this is WebAssembly in text form: take the .wasm file made from it")]
    Text,
    #[error(
        "this is compiled for a processor already, which is never loaded: take the .wasm file it was made from"
    )]
    Precompiled,
    #[error("this WebAssembly is damaged or cut short: {0}; copy or build it again")]
    Damaged(#[from] BinaryReaderError),
    #[error("it has {found} {what}, over the limit of {limit}")]
    Over {
        what: &'static str,
        found: usize,
        limit: usize,
    },
}

/// Looks at an upload.
pub(super) fn scan(bytes: &[u8]) -> Result<Scanned, ScanError> {
    let kind = kind(bytes)?;
    let mut scan = Scan::new();
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload?;
        scan.count(&payload)?;
        scan.copy(&payload, bytes)?;
    }
    let stripped = scan.finished;
    let names = names::KEPT - scan.names_left;
    within("bytes of code and data", stripped.len() - names, CODE)?;
    Ok(Scanned {
        kind,
        bytes: stripped,
        imports: scan.imports,
        exports: scan.exports,
    })
}

fn kind(bytes: &[u8]) -> Result<Kind, ScanError> {
    if bytes.starts_with(b"\x7fELF") || wasmtime::Engine::detect_precompiled(bytes).is_some() {
        return Err(ScanError::Precompiled);
    }
    if Parser::is_component(bytes) {
        return Ok(Kind::Component);
    }
    if Parser::is_core_wasm(bytes) {
        return Ok(Kind::Module);
    }
    match bytes.trim_ascii_start().first() {
        None if bytes.is_empty() => Err(ScanError::Empty),
        Some(b'(') => Err(ScanError::Text),
        _ => Err(ScanError::NotWasm),
    }
}

struct Scan {
    /// What is written of the module or component being read, innermost last; the
    /// outer ones wait for it to end.
    open: Vec<Open>,
    finished: Vec<u8>,
    imports: Vec<String>,
    exports: Vec<String>,
    counts: Counts,
    /// Bytes that names may still take.
    names_left: usize,
}

struct Open {
    /// Id of the section that it is in its parent; none for the outermost.
    section: Option<u8>,
    core: bool,
    written: Vec<u8>,
}

#[derive(Default)]
struct Counts {
    functions: usize,
    globals: usize,
    locals: usize,
    memories: usize,
    tables: usize,
    types: usize,
    imports: usize,
    exports: usize,
    segments: usize,
    composition: usize,
    nested: usize,
}

impl Scan {
    fn new() -> Self {
        Self {
            open: Vec::new(),
            finished: Vec::new(),
            imports: Vec::new(),
            exports: Vec::new(),
            counts: Counts::default(),
            names_left: names::KEPT,
        }
    }

    /// Counts what costs.
    fn count(&mut self, payload: &Payload<'_>) -> Result<(), ScanError> {
        let counts = &mut self.counts;
        match payload {
            Payload::FunctionSection(s) => {
                add("functions", &mut counts.functions, s.count(), FUNCTIONS)
            }
            Payload::GlobalSection(s) => add("globals", &mut counts.globals, s.count(), GLOBALS),
            Payload::MemorySection(s) => add("memories", &mut counts.memories, s.count(), MEMORIES),
            Payload::TableSection(s) => add("tables", &mut counts.tables, s.count(), TABLES),
            Payload::TypeSection(s) => add("types", &mut counts.types, s.count(), ENTRIES),
            Payload::CoreTypeSection(s) => add("types", &mut counts.types, s.count(), ENTRIES),
            Payload::ComponentTypeSection(s) => add("types", &mut counts.types, s.count(), ENTRIES),
            Payload::DataSection(s) => add("segments", &mut counts.segments, s.count(), ENTRIES),
            Payload::ElementSection(s) => add("segments", &mut counts.segments, s.count(), ENTRIES),
            Payload::CodeSectionEntry(body) => count_body(body, &mut counts.locals),
            Payload::ImportSection(_)
            | Payload::ComponentImportSection(_)
            | Payload::ExportSection(_)
            | Payload::ComponentExportSection(_) => self.names(payload),
            _ => count_composition(payload, counts),
        }
    }

    /// Counts imports and exports, and keeps the names of the outermost.
    fn names(&mut self, payload: &Payload<'_>) -> Result<(), ScanError> {
        let outermost = self.open.len() == 1;
        let (imports, exports) = read_names(payload)?;
        let added = u32::try_from(imports.len()).unwrap_or(u32::MAX);
        add("imports", &mut self.counts.imports, added, ENTRIES)?;
        let added = u32::try_from(exports.len()).unwrap_or(u32::MAX);
        add("exports", &mut self.counts.exports, added, ENTRIES)?;
        if outermost {
            self.imports.extend(imports);
            self.exports.extend(exports);
        }
        Ok(())
    }

    /// Writes what is kept: everything but custom sections, and of these two.
    fn copy(&mut self, payload: &Payload<'_>, bytes: &[u8]) -> Result<(), ScanError> {
        match payload {
            Payload::Version { range, .. } => {
                let header = bytes.get(range.clone()).unwrap_or_default();
                if self.open.is_empty() {
                    self.open(None);
                }
                if let Some(open) = self.open.last_mut() {
                    open.core = !Parser::is_component(header);
                    open.written.extend_from_slice(header);
                }
                within("levels of nesting", self.open.len(), NESTING)
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                self.open(payload.as_section().map(|(id, _)| id));
                Ok(())
            }
            Payload::End(_) => {
                self.close();
                Ok(())
            }
            Payload::CustomSection(section) if !self.keeps(section.name()) => {
                self.keep_names(section);
                Ok(())
            }
            _ => {
                if let Some((id, range)) = payload.as_section() {
                    let content = bytes.get(range).unwrap_or_default();
                    self.section(id, content);
                }
                Ok(())
            }
        }
    }

    /// A core module says in this section which interface it was built against.
    fn keeps(&self, section: &str) -> bool {
        self.open.len() == 1
            && self.open.last().is_some_and(|open| open.core)
            && section.starts_with("component-type")
    }

    /// The names of a core module's functions, read and written anew.
    fn keep_names(&mut self, section: &CustomSectionReader<'_>) {
        if !self.open.last().is_some_and(|open| open.core) {
            return;
        }
        if let Some(content) = names::functions(section, self.names_left) {
            let before = self.written();
            self.section(CUSTOM, &content);
            self.names_left = self.names_left.saturating_sub(self.written() - before);
        }
    }

    /// Bytes written of what is open.
    fn written(&self) -> usize {
        self.open.last().map_or(0, |open| open.written.len())
    }

    fn open(&mut self, section: Option<u8>) {
        self.open.push(Open {
            section,
            core: true,
            written: Vec::new(),
        });
    }

    fn close(&mut self) {
        let Some(open) = self.open.pop() else { return };
        match open.section {
            Some(id) => self.section(id, &open.written),
            None => self.finished = open.written,
        }
    }

    fn section(&mut self, id: u8, content: &[u8]) {
        let Some(open) = self.open.last_mut() else {
            return;
        };
        open.written.push(id);
        write_length(content.len(), &mut open.written);
        open.written.extend_from_slice(content);
    }
}

/// Unsigned LEB128, as section lengths are written.
pub(super) fn write_length(mut length: usize, out: &mut Vec<u8>) {
    loop {
        let low = (length & 0x7f) as u8;
        length >>= 7;
        if length == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

/// What a component is composed of.
fn count_composition(payload: &Payload<'_>, counts: &mut Counts) -> Result<(), ScanError> {
    let entries = match payload {
        Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
            return add("nested modules", &mut counts.nested, 1, NESTED);
        }
        Payload::InstanceSection(s) => s.count(),
        Payload::ComponentInstanceSection(s) => s.count(),
        Payload::ComponentAliasSection(s) => s.count(),
        Payload::ComponentCanonicalSection(s) => s.count(),
        _ => return Ok(()),
    };
    add(
        "instances and aliases",
        &mut counts.composition,
        entries,
        ENTRIES,
    )
}

fn read_names(payload: &Payload<'_>) -> Result<(Vec<String>, Vec<String>), ScanError> {
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    match payload {
        Payload::ImportSection(section) => {
            for import in section.clone().into_imports() {
                let import = import?;
                // A guest that imports its memory would have the host's instead.
                let module = match import.ty {
                    TypeRef::Func(_) => import.module.to_owned(),
                    _ => format!("{}.{}", import.module, import.name),
                };
                imports.push(module);
            }
        }
        Payload::ComponentImportSection(section) => {
            for import in section.clone() {
                imports.push(import?.name.name.to_owned());
            }
        }
        Payload::ExportSection(section) => {
            for export in section.clone() {
                exports.push(export?.name.to_owned());
            }
        }
        Payload::ComponentExportSection(section) => {
            for export in section.clone() {
                exports.push(export?.name.name.to_owned());
            }
        }
        _ => {}
    }
    Ok((imports, exports))
}

fn count_body(body: &FunctionBody<'_>, all_locals: &mut usize) -> Result<(), ScanError> {
    within("bytes in one function", body.range().len(), BODY)?;
    let mut locals = 0_usize;
    for group in body.get_locals_reader()? {
        let (count, _) = group?;
        locals = locals.saturating_add(count as usize);
    }
    within("locals in one function", locals, LOCALS)?;
    *all_locals = all_locals.saturating_add(locals);
    within("locals", *all_locals, ALL_LOCALS)?;
    count_nesting(body)
}

fn count_nesting(body: &FunctionBody<'_>) -> Result<(), ScanError> {
    // Whether each open block is a loop.
    let mut open = Vec::new();
    let mut loops = 0;
    for operator in body.get_operators_reader()? {
        match operator? {
            Operator::Loop { .. } => {
                open.push(true);
                loops += 1;
                within("nested loops", loops, LOOPS)?;
            }
            Operator::Block { .. } | Operator::If { .. } => open.push(false),
            Operator::End if open.pop() == Some(true) => loops -= 1,
            _ => {}
        }
        within("nested blocks", open.len(), DEPTH)?;
    }
    Ok(())
}

fn add(what: &'static str, count: &mut usize, more: u32, limit: usize) -> Result<(), ScanError> {
    *count = count.saturating_add(more as usize);
    within(what, *count, limit)
}

fn within(what: &'static str, found: usize, limit: usize) -> Result<(), ScanError> {
    if found > limit {
        return Err(ScanError::Over { what, found, limit });
    }
    Ok(())
}
