package logging_test

import (
	"context"
	"log/slog"
	"os"

	"github.com/wasmerio/go-ext-wasm/extensions/logging"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// A guest's messages are lines of the program's log.
func Example() {
	const order = `(module
		(import "wasi:logging/logging" "log" (func $log (param i32 i32 i32 i32 i32)))
		(memory (export "memory") 1)
		(data (i32.const 0) "shop")
		(data (i32.const 16) "no such article")
		(func (export "order") ;; 3 is a warning
			(call $log (i32.const 3) (i32.const 0) (i32.const 4) (i32.const 16) (i32.const 15))))`
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, attribute slog.Attr) slog.Attr {
			if attribute.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return attribute
		},
	}))
	ctx := context.Background()
	module := wasmer.Must(wasmer.Compile([]byte(order)))
	defer module.Close()
	imports := wasmer.NewImports().Add(logging.New(logging.Config{Logger: logger}))
	instance := wasmer.Must(wasmer.Instantiate(ctx, module, imports))
	defer instance.Close()
	_ = wasmer.Must(wasmer.Must(wasmer.Func0[wasmer.Void](instance, "order"))(ctx))
	// Output: level=WARN msg="no such article" context=shop
}
