package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/wasmerio/go-ext-wasm/extensions/process"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/vm"
)

func (t *tool) run(ctx context.Context) int {
	if len(t.rest) == 0 {
		return t.fail(failure, "", fmt.Errorf("cli: the name of a file is missing: %s", t.operand))
	}
	config, err := t.runConfig()
	if err != nil {
		return t.fail(failure, "", err)
	}
	wasi, err := t.wasi()
	if err != nil {
		return t.fail(failure, "", err)
	}
	limit, err := t.number("time-limit", 40)
	if err != nil {
		return t.fail(failure, "", err)
	}
	if _, err := wasmer.LoadDefaultPlugins(); err != nil {
		t.log.Warn("plug-ins", slog.Any("error", err)) // the module may need none
	}
	v := vm.New(config)
	defer v.Close()
	if err := v.Err(); err != nil {
		return t.fail(failure, "", err)
	}
	if err := v.WASI().Configure(wasi); err != nil {
		return t.fail(failure, "", err)
	}
	for _, step := range []func() error{
		func() error { return v.LoadFile(ctx, t.rest[0]) }, v.Validate, func() error { return v.Instantiate(ctx) },
	} {
		if err := step(); err != nil {
			return t.fail(failure, "", err)
		}
	}
	defer t.report(v)
	if limit > 0 { // for execution alone
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(limit)*time.Millisecond)
		defer cancel()
	}
	if typ, err := v.FunctionType("_start"); err == nil && typ.Equal(wasmer.FunctionType{}) && !t.has("reactor") {
		return t.command(ctx, v)
	}
	return t.reactor(ctx, v)
}

// runConfig is what the options say, but for WASI.
func (t *tool) runConfig() (vm.Config, error) {
	config, err := t.config()
	if err != nil {
		return config, err
	}
	if t.has("allow-af-unix") {
		return config, fmt.Errorf("cli: --allow-af-unix: %w: guests have no sockets but those that the host makes", wasmer.ErrUnsupported)
	}
	config.WASI = true
	config.ForceBaseline = t.has("force-interpreter")
	config.ForbiddenPlugins = t.given["forbidden-plugin"]
	config.HostModules = []wasmer.HostModule{process.New(process.Config{
		Commands: t.given["allow-command"], AllCommands: t.has("allow-command-all"), AllVariables: t.has("allow-command-all"),
	})}
	return config, nil
}

// wasi is what the guest gets.
func (t *tool) wasi() (wasmer.WASIConfig, error) {
	name := filepath.Base(t.rest[0])
	config := wasmer.WASIConfig{
		Args: append([]string{strings.TrimSuffix(name, filepath.Ext(name)) + ".wasm"}, t.rest[1:]...),
		Env:  map[string]string{}, Stdin: t.stdin, Stdout: t.stdout, Stderr: t.stderr,
	}
	for _, word := range t.given["env"] {
		name, value, ok := strings.Cut(word, "=")
		if !ok || name == "" {
			return config, fmt.Errorf("cli: --env %q is not NAME=VALUE", word)
		}
		config.Env[name] = value
	}
	for _, word := range t.given["dir"] {
		mount, err := parseMount(word)
		if err != nil {
			return config, err
		}
		config.Mounts = append(config.Mounts, mount)
	}
	return config, nil
}

// parseMount reads GUEST:HOST[:readonly], or one path for both.
func parseMount(word string) (wasmer.Mount, error) {
	parts := strings.Split(word, ":")
	mount := wasmer.Mount{Guest: parts[0], Host: parts[len(parts)-1]}
	switch {
	case len(parts) == 3 && parts[2] == "readonly":
		mount.Host, mount.ReadOnly = parts[1], true
	case len(parts) > 2 || mount.Guest == "" || mount.Host == "":
		return mount, fmt.Errorf("cli: --dir %q is not GUEST:HOST[:readonly]", word)
	}
	return mount, nil
}

// report tells what was counted, if anything is.
func (t *tool) report(v *vm.VM) {
	for _, name := range []string{"enable-instruction-count", "enable-gas-measuring", "enable-time-measuring", "enable-all-statistics"} {
		if t.has(name) {
			t.log.Info("statistics", slog.Any("statistics", v.Statistics()))
			return
		}
	}
}

// command runs _start.
func (t *tool) command(ctx context.Context, v *vm.VM) int {
	_, err := v.Execute(ctx, "_start")
	var exit *wasmer.ExitError
	if errors.As(err, &exit) && !exit.Closed() {
		return int(exit.Code)
	}
	if err != nil {
		return t.fail(aborted, "_start", err)
	}
	return success
}

// reactor calls a function, and prints what it gives. Its _initialize has run.
func (t *tool) reactor(ctx context.Context, v *vm.VM) int {
	if len(t.rest) < 2 {
		fmt.Fprintln(t.stderr, "A function name is required when reactor mode is enabled.")
		return failure
	}
	name := t.rest[1]
	typ, err := v.FunctionType(name)
	if err != nil {
		return t.fail(aborted, name, err)
	}
	args, err := parseArguments(typ, t.rest[2:])
	if err != nil {
		return t.fail(failure, name, err)
	}
	values, err := v.Execute(ctx, name, args...)
	var exit *wasmer.ExitError
	if errors.As(err, &exit) && !exit.Closed() {
		return int(exit.Code)
	}
	if err != nil {
		return t.fail(aborted, name, err)
	}
	for _, value := range values {
		fmt.Fprintln(t.stdout, formatValue(value))
	}
	return success
}

// parseArguments reads words by the types of the parameters; what is too much is of type i64, and refused by the call.
func parseArguments(typ wasmer.FunctionType, words []string) ([]any, error) {
	var args []any
	for i, word := range words {
		t := wasmer.TypeI64
		if i < len(typ.Params) {
			t = typ.Params[i]
		}
		value, err := parseValue(word, t)
		if err != nil {
			return nil, fmt.Errorf("cli: argument %q is no %s", word, t)
		}
		args = append(args, value)
	}
	return args, nil
}

func parseValue(word string, t wasmer.ValueType) (wasmer.Value, error) {
	switch t {
	case wasmer.TypeI32:
		n, err := strconv.ParseInt(word, 10, 64)
		if err == nil && (n < math.MinInt32 || n > math.MaxUint32) {
			err = strconv.ErrRange
		}
		return wasmer.I32(int32(n)), err
	case wasmer.TypeI64:
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil {
			var unsigned uint64
			unsigned, err = strconv.ParseUint(word, 10, 64)
			n = int64(unsigned)
		}
		return wasmer.I64(n), err
	case wasmer.TypeF32:
		f, err := strconv.ParseFloat(word, 32)
		return wasmer.F32(float32(f)), err
	case wasmer.TypeF64:
		f, err := strconv.ParseFloat(word, 64)
		return wasmer.F64(f), err
	}
	return wasmer.Value{}, strconv.ErrSyntax
}

func formatValue(v wasmer.Value) string {
	switch v.Type() {
	case wasmer.TypeI32:
		return strconv.FormatUint(uint64(uint32(v.ToI32())), 10)
	case wasmer.TypeI64:
		return strconv.FormatUint(uint64(v.ToI64()), 10)
	case wasmer.TypeF32:
		return strconv.FormatFloat(float64(v.ToF32()), 'g', -1, 32)
	case wasmer.TypeF64:
		return strconv.FormatFloat(v.ToF64(), 'g', -1, 64)
	}
	return v.String()
}
