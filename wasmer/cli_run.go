package wasmer

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

func cliRunCommand() *cliCommand {
	return &cliCommand{
		name: "run", operand: "FILE", guest: true, summary: "run a program, or call an exported function",
		options: append([]cliOption{
			{name: "dir", value: "HOST[:GUEST][:ro]", repeated: true, summary: "give the guest a folder, under the path GUEST, " +
				"or HOST itself;\nro refuses changes; HOST::GUEST if HOST holds a colon"},
			{name: "env", value: "NAME[=VALUE]", repeated: true, summary: "set a variable of the guest's environment;\n" +
				"without VALUE it is inherited"},
			{name: "inherit-env", summary: "let the guest inherit the whole environment"},
			{name: "invoke", value: "NAME", summary: "call this exported function in place of _start"},
			{name: "compiler", value: "COMPILER", summary: "the compiler, if this build has it: cranelift, singlepass, llvm,\n" +
				"or tiered, which starts on singlepass and optimizes meanwhile"},
			{name: "cache", value: "DIR", summary: "keep compiled modules in a folder, which must be trusted:\nit holds machine code"},
			{name: "trust-embedded", summary: "use machine code that FILE holds in a section, whoever has put it there"},
			cliKeyOption("load code that is sealed with this secret, and no other"),
			{name: "timeout", value: "DURATION", summary: "stop after this time, compilation included: 10, 1.5s, 2m"},
			{name: "cost-limit", value: "N", summary: "end the guest before it executes more than so many instructions"},
			{name: "metering", value: "MODE", summary: "print how many instructions were executed on stderr;\n" +
				"block is faster, exact is right after a trap too"},
			{name: "stats", summary: "tell on stderr what the guest has done, and in what time;\ncounting makes it slower"},
			{name: "log-level", value: "LEVEL", summary: "log events on stderr, from this level on: debug, info, warn, error;\n" +
				"off, which is the default"},
			{name: "stub-unknown", summary: "let unknown imports end the guest when it calls them"},
			{name: "profile", value: "OUT", summary: "write where the guest spends CPU time, for go tool pprof"},
			{name: "perf-map", summary: "write the names of compiled functions to /tmp/perf-PID.map, for perf"},
		}, cliCodeOptions()...),
		notes:    cliRunNotes,
		examples: cliRunExamples,
		do:       (*cli).run,
	}
}

const cliRunNotes = `
Options come before FILE. What follows FILE are the guest's arguments, after an
optional --; the guest's name is the last part of FILE. With --invoke they are the
function's. If FILE is no program, for it exports no _start, options may follow it too.

A FILE that compile has made is machine code, and can do what this command can: run what
you trust, or use --key. It brings the compiler's options, which need not be repeated.

The guest has WASI preview 1 and the streams of this command, and nothing of the host
but what options give it. If FILE is - its stdin is empty.

Arguments of a function are read by the types of its parameters:

  i32, i64  decimal, or hexadecimal after 0x; from the least signed
            to the largest unsigned number
  f32, f64  decimal, hexadecimal after 0x, inf, -inf, nan
  v128      hexadecimal after 0x

Each result is printed on a line of its own, integers as signed ones.

Exit status: that of the guest; 1 if it cannot be run, 2 for wrong usage, 124 when the
time is over, 134 for a trap, 130 and 143 when it is stopped by SIGINT and SIGTERM.
`

const cliRunExamples = `
  wasmer-go run app.wasm --verbose input.txt
  wasmer-go run --dir . --env DEBUG=1 app.wasm
  wasmer-go run --dir /srv/data:/data:ro --timeout 10s app.wasm
  wasmer-go run --invoke sum math.wasm 5 37
  wasmer-go run math.wasm --invoke sum 5 37
  wasmer-go run --compiler singlepass --cache ~/.cache/wasm app.wasm
  wasmer-go run app.wasmer
  wasmer-go run --profile app.pprof app.wasm; go tool pprof -top app.pprof
`

func (c *cli) run(ctx context.Context) error {
	wasm, err := c.read()
	if err != nil {
		return err
	}
	if IsArtifact(wasm) {
		return c.runArtifact(ctx, wasm)
	}
	info, err := Inspect(wasm)
	if err != nil {
		return c.explainInvalid(wasm, err)
	}
	if err := c.readLibrary(info); err != nil {
		return err
	}
	stop, err := c.limitTime()
	if err != nil {
		return err
	}
	defer stop()
	task, err := c.task(info)
	if err != nil {
		return err
	}
	engine, err := c.engine(c.withCache(task.engine))
	if err != nil {
		return err
	}
	defer engine.Close()
	defer c.report(engine)
	end, err := c.watch()
	if err != nil {
		return err
	}
	module, err := c.compile(ctx, engine, wasm)
	if err != nil {
		return end(err)
	}
	return end(c.runTask(ctx, module, task))
}

// readLibrary reads the options that may follow a file that is no program.
func (c *cli) readLibrary(info *ModuleInfo) error {
	if _, program := info.positions["_start"]; program || c.has("invoke") {
		return nil
	}
	c.library = true
	return c.parse(c.rest)
}

// cliTask is what is to be done with a module: a function, with what it is given.
type cliTask struct {
	engine   EngineConfig
	config   WASIConfig
	function string
	args     []any
}

// task is found before anything is compiled, which can take long.
func (c *cli) task(info *ModuleInfo) (task cliTask, err error) {
	compiler, err := c.compiler()
	if err != nil {
		return task, err
	}
	if task.engine, err = c.engineConfig(compiler); err != nil {
		return task, err
	}
	if task.config, err = c.wasiConfig(); err != nil {
		return task, err
	}
	var typ FunctionType
	if task.function, typ, err = c.choose(info.exports); err != nil {
		for _, want := range info.imports {
			if needs := foreignWASI(want.Module); needs != "" && !isWASI(want.Module) {
				return task, cliHint(err, "%s", needs)
			}
		}
		return task, err
	}
	var words []string
	if c.has("invoke") {
		words = c.guestWords()
	}
	task.args, err = cliParseArguments(task.function, typ, words)
	return task, err
}

func (c *cli) runTask(ctx context.Context, module *Module, task cliTask) error {
	wasi := NewWASI(task.config)
	defer wasi.Close()
	if err := wasi.Err(); err != nil { // it names the setting
		return fmt.Errorf("%s: %s", c.title(), strings.TrimPrefix(err.Error(), "wasmer: "))
	}
	imports := NewImports().WASI(wasi)
	if c.has("stub-unknown") {
		imports.StubUnknown()
	}
	c.guest.Store(true)
	defer c.guest.Store(false)
	store, err := NewStore(module.Engine())
	if err != nil {
		return err
	}
	defer store.Close()
	defer c.reportMeter(store.Meter())
	instance, err := store.Instantiate(ctx, "", module, imports)
	if err != nil {
		return c.ended(ctx, "instantiating", cliFailure, err)
	}
	defer instance.Close()
	if !c.has("invoke") {
		err = instance.Start(ctx)
	} else {
		err = c.call(ctx, instance, task)
	}
	return c.ended(ctx, fmt.Sprintf("calling %q", task.function), cliAborted, err)
}

// call prints the results of a function.
func (c *cli) call(ctx context.Context, instance *Instance, task cliTask) error {
	function, err := instance.Function(task.function)
	if err != nil {
		return err
	}
	results, err := function.Call(ctx, task.args...)
	for _, result := range results {
		fmt.Fprintln(&c.out, cliFormatValue(result))
	}
	return err
}

// ended gives the status of a guest that has ended. The code is that of an error which is not known better.
func (c *cli) ended(ctx context.Context, what string, code int, err error) error {
	var exit *ExitError
	var link *LinkError
	var trap *Trap
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit) && exit.Code <= 255:
		return &cliStatus{int(exit.Code), nil}
	case errors.As(err, &exit):
		return fmt.Errorf("%s: exited with %d, which cannot be the status of a process: it is 1", c.title(), exit.Code)
	case errors.As(err, &link):
		return c.explainLink(link)
	case errors.As(err, &trap), errors.Is(err, ErrStub):
		code = cliAborted
	case ctx.Err() != nil && (errors.Is(err, ErrInterrupted) || errors.Is(err, ctx.Err())):
		return c.interrupted(ctx)
	}
	return &cliStatus{code, cliExplain(c.title()+": "+what, err)}
}

func (c *cli) compiler() (Compiler, error) {
	if !c.has("compiler") {
		return DefaultCompiler, nil
	}
	name := c.value("compiler")
	var names []string
	for _, compiler := range []Compiler{Cranelift, Singlepass, LLVM, Tiered} {
		if compiler.String() == name {
			return compiler, nil
		}
		names = append(names, compiler.String())
	}
	message := fmt.Sprintf("there is no compiler %q", name)
	if near := nearest(name, names); near != "" {
		message += fmt.Sprintf(" (is %q meant?)", near)
	}
	return 0, cliUsagef("%s; this build has %s", message, strings.Join(cliCompilers(), ", "))
}

func cliCompilers() []string {
	var names []string
	for _, compiler := range Compilers() {
		names = append(names, compiler.String())
	}
	return names
}

func (c *cli) engine(config EngineConfig) (*Engine, error) {
	engine, err := NewEngine(config)
	if err != nil {
		return nil, fmt.Errorf("%s; it has %s", strings.TrimPrefix(err.Error(), "wasmer: "), strings.Join(cliCompilers(), ", "))
	}
	return engine, nil
}

// compile makes the module, or takes it from the cache.
func (c *cli) compile(ctx context.Context, engine *Engine, wasm []byte) (*Module, error) {
	progress := startCLIProgress(ctx, c.stderr, cliPrintable(fmt.Sprintf("compiling %s with %s", c.title(), engine.Compiler())))
	c.progress.Store(progress)
	c.toldCache(engine)
	module, err := engine.Compile(ctx, wasm)
	progress.stop()
	if err != nil && ctx.Err() != nil && errors.Is(err, ErrInterrupted) {
		return nil, c.interrupted(ctx)
	}
	if err != nil {
		return nil, c.explainInvalid(wasm, err)
	}
	return module, nil
}

// choose finds the function to call.
func (c *cli) choose(exports []ExportType) (string, FunctionType, error) {
	name, problem := "_start", "there is no _start to run"
	if c.has("invoke") {
		name = c.value("invoke")
		problem = fmt.Sprintf("there is no exported function %q", name)
	}
	var functions [][]string
	for _, export := range exports {
		switch kind := export.Type.Kind; {
		case kind == ExternFunction && export.Name == name:
			return name, export.Type.Function, nil
		case kind == ExternFunction && export.Name != "_initialize": // which has run before any other
			functions = append(functions, []string{cliQuote(export.Name), export.Type.String()})
		case export.Name == name:
			problem = fmt.Sprintf("the export %q is a %s, not a function", name, kind)
		}
	}
	if len(functions) == 0 {
		return "", FunctionType{}, fmt.Errorf("%s: %s; no function is exported", c.title(), problem)
	}
	return "", FunctionType{}, fmt.Errorf("%s: %s\nFunctions for --invoke:\n%s", c.title(), problem, cliTable(functions))
}
