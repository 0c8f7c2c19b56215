;; A policy by hand, for tests of the engine: what stands in braces below is filled in by
;; the test. Unless the body stores something else, the answer is `default` without reason.
;;
;; Memory: 16.. texts, 128 the manifest, 256 the result of decide, 512 that of
;; check-settings, 1024.. scratch of the body, 4096.. what the host puts there.
;; The result of decide: 256 ok(0) or error(1); ok: 260 decision, 264 requirements,
;; 268 and 272 reason; error: 260 and 264 its text.
(module
  (import "portcullis:policy/facts@0.1.0" "[resource-drop]message" (func $message-drop (param i32)))
  (import "portcullis:policy/facts@0.1.0" "[method]message.sender" (func $sender (param i32 i32)))
  (import "portcullis:policy/facts@0.1.0" "[method]message.reverse-name" (func $reverse-name (param i32 i32)))
  (import "portcullis:policy/facts@0.1.0" "[method]message.tls" (func $tls (param i32 i32)))
  (import "portcullis:policy/facts@0.1.0" "[method]tls.version" (func $tls-version (param i32) (result i32)))
  (import "portcullis:policy/lists@0.1.0" "contains" (func $contains (param i32 i32 i32 i32) (result i32)))
  (import "portcullis:policy/lists@0.1.0" "lookup" (func $lookup (param i32 i32 i32 i32 i32)))
  (import "portcullis:policy/log@0.1.0" "write" (func $log (param i32 i32 i32)))
  (import "portcullis:policy/demands@0.1.0" "[constructor]requirements" (func $set (result i32)))
  (import "portcullis:policy/demands@0.1.0" "[method]requirements.at-least" (func $at-least (param i32 i32)))
  (import "portcullis:policy/demands@0.1.0" "[method]requirements.certificate-covers" (func $covers (param i32 i32 i32)))
  (import "portcullis:policy/demands@0.1.0" "[method]requirements.certificate-pinned" (func $pinned (param i32 i32 i32)))
  (memory (export "memory") 64)
  (global $heap (mut i32) (i32.const 4096))
  (data (i32.const 16) "hand-made")
  (data (i32.const 32) "0.1.0")
  (data (i32.const 48) "A guest by hand.")
  (data (i32.const 80) "{\"type\": \"object\"}")
  (data (i32.const 128) "\10\00\00\00\09\00\00\00\20\00\00\00\05\00\00\00\30\00\00\00\10\00\00\00\50\00\00\00\12\00\00\00")
  (func (export "cabi_realloc") (param i32 i32 i32) (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $heap))
    (global.set $heap
      (i32.and (i32.add (i32.add (global.get $heap) (local.get $size)) (i32.const 7)) (i32.const -8)))
    (local.get $at))
  (func (export "portcullis:policy/about@0.1.0#describe") (result i32) (i32.const 128))
  (func (export "portcullis:policy/about@0.1.0#check-settings") (param i32 i32) (result i32) (i32.const 512))
  (func (export "portcullis:policy/secure-receipt@0.1.0#decide")
    (param $message i32) (param $settings i32) (param $length i32) (result i32)
    (local $i i32) (local $set i32)
    {body}
    (call $message-drop (local.get $message))
    (i32.const 256))
  {fields}
)
