//! How wasmtime is set up, for the host and for its compile worker alike.
//!
//! An artefact loads only into an engine whose tunables and features equal those it was
//! compiled with, so both sides are made here. Only what a policy needs is enabled:
//! nearly every advisory that could have touched an embedder like this one sat in a
//! proposal that is off here.

use std::hash::{Hash, Hasher};
use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use wasmtime::{
    Config, Enabled, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig,
    RegallocAlgorithm, WasmFeatures,
};

use super::backtrace;
use crate::digest::Digest;

/// How hard the compiler tries. Artefacts of either kind load alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Effort {
    /// Optimised code; the time it takes is not bounded by the module's size.
    Optimise,
    /// One pass, no optimisation: the time is nearly linear in the module's size.
    Bounded,
}

/// Stack of a guest. The SDK links guests with 64 KiB of their own in linear memory;
/// this is the native stack of their calls, generous for recursive parsers.
const GUEST_STACK: usize = 256 << 10;
/// Stack of a decision: what host functions called by the guest need comes on top, and
/// an unoptimised build of the host needs a lot.
const WHOLE_STACK: usize = 1 << 20;
/// Unmapped memory behind each linear memory, so that neighbouring accesses share one
/// bounds check. Larger guards changed nothing measurable.
const GUARD: u64 = 64 << 10;
/// A component made from a core module has three core instances; one composed of a
/// few parts stays below this.
const CORE_INSTANCES: u32 = 16;
/// One for the guest's function pointers, one for wit-component's indirections, and
/// room for composed components.
pub(super) const TABLES: u32 = 8;
/// A Rust policy has some hundred function pointers, an interpreter some thousand.
pub(super) const TABLE_ELEMENTS: usize = 20_000;
/// Memory of an instance that stays mapped between decisions: with less, every
/// decision pays for page faults (14 µs instead of 22 at the median).
const KEEP_RESIDENT: usize = 1 << 20;

/// The configuration for this memory cap and this many instances at a time.
pub(super) fn config(memory: usize, instances: u32, effort: Effort) -> Config {
    let mut config = Config::new();
    disable_features(&mut config);
    config
        .consume_fuel(true)
        .epoch_interruption(true)
        .memory_reservation(memory as u64)
        .memory_guard_size(GUARD)
        .memory_may_move(false)
        .max_wasm_stack(GUEST_STACK)
        .async_stack_size(WHOLE_STACK)
        // The same floating-point results on every node.
        .cranelift_nan_canonicalization(true)
        // Captured where a guest breaks down, and there alone.
        .wasm_backtrace_max_frames(NonZeroUsize::new(backtrace::CAPTURED))
        .generate_address_map(false)
        // One compile takes one core and leaves the others to mail.
        .parallel_compilation(false)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool(memory, instances)));
    if effort == Effort::Bounded {
        config
            .cranelift_opt_level(OptLevel::None)
            .cranelift_regalloc_algorithm(RegallocAlgorithm::SinglePass);
    }
    config
}

/// Identifies what an artefact must have been compiled with to load into this engine,
/// and the rules it was admitted by.
pub(super) fn compatibility(engine: &wasmtime::Engine) -> Digest {
    let mut bytes = Encoding(Vec::new());
    engine.precompile_compatibility_hash().hash(&mut bytes);
    super::scan::ADMISSION.hash(&mut bytes);
    Digest::of(&bytes.0)
}

/// Collects what is hashed: the standard hashers promise no stable value.
struct Encoding(Vec<u8>);

impl Hasher for Encoding {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

fn disable_features(config: &mut Config) {
    let unneeded = WasmFeatures::THREADS
        | WasmFeatures::SHARED_EVERYTHING_THREADS
        | WasmFeatures::SIMD
        | WasmFeatures::RELAXED_SIMD
        | WasmFeatures::TAIL_CALL
        | WasmFeatures::MEMORY64
        | WasmFeatures::MULTI_MEMORY
        | WasmFeatures::EXCEPTIONS
        | WasmFeatures::LEGACY_EXCEPTIONS
        | WasmFeatures::FUNCTION_REFERENCES
        | WasmFeatures::GC
        | WasmFeatures::CUSTOM_PAGE_SIZES
        | WasmFeatures::WIDE_ARITHMETIC
        | WasmFeatures::STACK_SWITCHING
        | WasmFeatures::CM_ASYNC
        | WasmFeatures::CM_ASYNC_STACKFUL
        | WasmFeatures::CM_MORE_ASYNC_BUILTINS
        | WasmFeatures::CM_THREADING
        | WasmFeatures::CM_ERROR_CONTEXT
        | WasmFeatures::CM_GC
        | WasmFeatures::CM_MAP
        | WasmFeatures::CM64
        | WasmFeatures::CM_FIXED_LENGTH_LISTS;
    config.wasm_features(unneeded, false);
}

/// Every total is set: what is left at its default would be the limit that is met
/// first, as an error of the host.
fn pool(memory: usize, instances: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances * CORE_INSTANCES)
        .total_memories(instances)
        .total_tables(instances * TABLES)
        .total_stacks(instances)
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(1)
        .max_memories_per_module(1)
        .max_tables_per_component(TABLES)
        .max_tables_per_module(TABLES)
        .table_elements(TABLE_ELEMENTS)
        .max_memory_size(memory)
        // Grows with the number of functions: enough for what the scan lets through.
        .max_core_instance_size(2 << 20)
        .max_component_instance_size(1 << 20)
        .max_unused_warm_slots(instances)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        // All of them: returning a table to the system cost as much as the decision.
        .table_keep_resident(TABLE_ELEMENTS * size_of::<usize>())
        .pagemap_scan(Enabled::Auto);
    pool
}
