// Package cli is WasmEdge's command line as functions: the arguments, what they do, and the exit statuses are those of its tools
// run and compile. It is for programs that offer that command line themselves, and for those who move; wasmer.RunCLI is the command
// line of this library's own.
//
// A module that was compiled is machine code, and is run as such: run what you trust. Plug-ins are loaded from where
// wasmer.LoadDefaultPlugins looks.
package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/vm"
)

// The exit statuses besides those of guests.
const (
	success = 0
	failure = 1
	aborted = 134 // 128 + SIGABRT
)

// Run runs a module: wasmedge [OPTIONS] WASM [ARGS...]. The args are the command line, with the program's name first, as in os.Args.
// The guest reads stdin and writes stdout and stderr, which may be nil. The result is the status for os.Exit: that of the
// guest, 1 if it cannot be run, 134 if it was aborted by a trap, an error, a limit, or the end of the context.
//
// A module that exports _start is a command: that is run. Another one, or with --reactor any, is a reactor: the first of ARGS is
// the function to call, the others are its arguments, and its results are printed, integers without sign. --help tells the options.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return newTool(args, runOptions(), "WASM [ARGS...]", stdin, stdout, stderr).start(ctx, (*tool).run)
}

// Compile compiles a module ahead of time: wasmedgec [OPTIONS] WASM WASM_SO. The output is native code if its name ends with .so,
// .dylib or .dll, else WebAssembly with the code in a section. The args are as those of Run. The result is 0, or 1 for a failure.
func Compile(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return newTool(args, compileOptions(), "WASM WASM_SO", stdin, stdout, stderr).start(ctx, (*tool).compile)
}

// Unified is both: wasmedge run ... and wasmedge compile ...; without one of these words it is Run.
func Unified(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) > 1 && (args[1] == "run" || args[1] == "compile") {
		rest := append([]string{args[0] + " " + args[1]}, args[2:]...)
		if args[1] == "compile" {
			return Compile(ctx, rest, stdin, stdout, stderr)
		}
		return Run(ctx, rest, stdin, stdout, stderr)
	}
	return Run(ctx, args, stdin, stdout, stderr)
}

// tool is one run of a command line.
type tool struct {
	// name is the program's.
	name    string
	args    []string
	options []option
	operand string

	stdin          io.Reader
	stdout, stderr io.Writer
	log            *slog.Logger

	given map[string][]string
	// rest is what follows the options.
	rest []string
}

func newTool(args []string, options []option, operand string, stdin io.Reader, stdout, stderr io.Writer) *tool {
	t := &tool{name: "wasmedge", options: options, operand: operand, stdin: stdin, stdout: stdout, stderr: stderr}
	if len(args) > 0 {
		t.name, t.args = args[0], args[1:]
	}
	if stdin == nil {
		t.stdin = bytes.NewReader(nil)
	}
	if stdout == nil {
		t.stdout = io.Discard
	}
	if stderr == nil {
		t.stderr = io.Discard
	}
	t.log = slog.New(vm.NewLogHandler(t.stderr, slog.LevelInfo))
	return t
}

func (t *tool) start(ctx context.Context, do func(*tool, context.Context) int) int {
	if ctx == nil {
		ctx = context.Background()
	}
	if err := t.parse(); err != nil {
		fmt.Fprintf(t.stderr, "%s: %v\nSee: %s --help\n", filepath.Base(t.name), err, filepath.Base(t.name))
		return failure
	}
	switch {
	case t.has("help"):
		fmt.Fprint(t.stdout, t.help())
		return success
	case t.has("version"):
		fmt.Fprintf(t.stdout, "%s version %s\n", t.name, wasmer.Version())
		return success
	}
	return do(t, ctx)
}

// fail tells of an error, and gives the status. The function may be empty.
func (t *tool) fail(status int, function string, err error) int {
	attrs := []any{slog.Any("error", err)}
	if function != "" {
		attrs = append(attrs, slog.String("function", function))
	}
	t.log.Error("execution failed", attrs...)
	return status
}

// config is what run and compile have in common.
func (t *tool) config() (vm.Config, error) {
	var config vm.Config
	config.Statistics = vm.StatisticsConfig{
		Instructions: t.has("enable-instruction-count") || t.has("enable-all-statistics"),
		Cost:         t.has("enable-gas-measuring") || t.has("enable-all-statistics") || t.has("gas-limit"),
		Time:         t.has("enable-time-measuring") || t.has("enable-all-statistics"),
	}
	var err error
	if config.Statistics.CostLimit, err = t.number("gas-limit", 64); err != nil {
		return config, err
	}
	pages, err := t.number("memory-page-limit", 17)
	if err != nil {
		return config, err
	}
	config.Engine.MaxMemoryPages = int(pages)
	config.Engine.Features = t.features()
	return config, nil
}

// features are the proposals that modules may use.
func (t *tool) features() wasmer.Features {
	features := vm.DefaultFeatures()
	supported := wasmer.SupportedFeatures(wasmer.DefaultCompiler)
	if t.has("force-interpreter") {
		supported = wasmer.SupportedFeatures(wasmer.Singlepass)
	}
	for _, feature := range features.List() {
		if !supported.Has(feature) {
			features = features.Without(feature)
		}
	}
	for _, proposal := range proposals {
		switch {
		case proposal.enable && (t.has("enable-"+proposal.name) || t.has("enable-all") && supported.Has(proposal.feature)):
			features = features.With(proposal.feature)
		case !proposal.enable && t.has("disable-"+proposal.name):
			features = features.Without(proposal.feature)
		}
	}
	return features
}

// native reports whether a file is to hold native code, by its name.
func native(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".so", ".dylib", ".dll":
		return true
	}
	return false
}

func (t *tool) compile(ctx context.Context) int {
	if len(t.rest) != 2 {
		return t.fail(failure, "", fmt.Errorf("cli: %d names of files are given, want two: %s", len(t.rest), t.operand))
	}
	config, err := t.config()
	if err != nil {
		return t.fail(failure, "", err)
	}
	input, output := t.rest[0], t.rest[1]
	if native(output) {
		config.Output = vm.Native
	}
	if t.has("generic-binary") {
		config.Engine.Target = wasmer.GenericTarget()
	}
	if t.has("dump") {
		config.Engine.DumpIR = output + ".dump"
	}
	levels, err := t.levels()
	if err != nil {
		return t.fail(failure, "", err)
	}
	var v *vm.VM
	for _, level := range levels {
		config.Engine.OptLevel = level
		if v = vm.New(config); !errors.Is(v.Err(), wasmer.ErrUnsupported) {
			break
		}
	}
	defer v.Close()
	if err := v.Err(); err != nil {
		return t.fail(failure, "", err)
	}
	if err := v.CompileFile(ctx, input, output); err != nil {
		return t.fail(failure, "", err)
	}
	return success
}

// levels are what --optimize asks for, and what comes next where the compiler lacks it.
func (t *tool) levels() ([]wasmer.OptLevel, error) {
	name := "2"
	if t.has("optimize") {
		name = t.value("optimize")
	}
	level, err := wasmer.ParseOptLevel(name)
	if err != nil {
		return nil, fmt.Errorf("cli: --optimize %q is none of 0, 1, 2, 3, s, z", name)
	}
	if level == wasmer.OptSize {
		return []wasmer.OptLevel{level, wasmer.OptSpeedAndSize, wasmer.OptDefault}, nil
	}
	return []wasmer.OptLevel{level, wasmer.OptSpeed, wasmer.OptDefault}, nil
}
