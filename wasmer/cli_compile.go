package wasmer

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The formats of compiled code, and how files of each are called unless that is said.
const (
	cliNative       = "native"
	cliUniversal    = "wasm"
	cliNativeSuffix = ".wasmer"
	cliWasmSuffix   = ".aot.wasm"
)

// cliNativeExtensions are those of files that hold native code and nothing else.
var cliNativeExtensions = []string{cliNativeSuffix, ".so", ".dylib", ".dll"}

func cliCompileCommand() *cliCommand {
	return &cliCommand{
		name: "compile", operand: "FILE", summary: "compile a module ahead of time",
		options: slices.Concat([]cliOption{
			{name: "o", value: "OUT", summary: "the file to write, - for stdout; else it is FILE with the extension\n" +
				cliWasmSuffix + " or " + cliNativeSuffix + ", by the format"},
			{name: "format", value: "FORMAT", summary: "wasm: the module with its code in a section, which other engines ignore;\n" +
				"native: the code alone; else by the extension of OUT"},
			{name: "compiler", value: "COMPILER", summary: "the compiler, if this build has it: cranelift, singlepass, llvm"},
		}, cliCodeOptions(), []cliOption{
			{name: "metering", value: "MODE", summary: "let the code count what it executes: block or exact"},
			cliKeyOption("seal the code with a secret, for machines that load no other:\nthe contents of a file, 16 bytes or more"),
		}),
		notes:    cliCompileNotes,
		examples: cliCompileExamples,
		do:       (*cli).compileFile,
	}
}

const cliCompileNotes = `
The format is native if OUT ends with .wasmer, .so, .dylib or .dll, else wasm.

run takes either. Code in a .wasm is used only if it is sealed with the secret that
--key names, or with --trust-embedded; otherwise run compiles. Code runs on this version of
wasmer-go only, and on CPUs that have what it uses: see --cpu, and inspect.
`

const cliCompileExamples = `
  wasmer-go compile app.wasm                          writes app.aot.wasm
  wasmer-go compile app.wasm -o app.wasmer && wasmer-go run app.wasmer
  wasmer-go compile --compiler llvm -O 3 --cpu generic app.wasm -o app.wasmer
  wasmer-go compile --target aarch64-unknown-linux-gnu app.wasm -o app.arm64.wasmer
  wasmer-go compile --key secret app.wasm && wasmer-go run --key secret app.aot.wasm
`

func cliKeyOption(summary string) cliOption {
	return cliOption{name: "key", value: "FILE", summary: summary}
}

// artifactKey reads the secret.
func (c *cli) artifactKey() ([]byte, error) {
	if !c.has("key") {
		return nil, nil
	}
	key, err := os.ReadFile(c.value("key"))
	if err != nil {
		return nil, cliExplain(c.value("key"), err)
	}
	if len(key) < minArtifactKey {
		return nil, cliUsagef("--key: %s has %d bytes, a secret has %d or more", c.value("key"), len(key), minArtifactKey)
	}
	return key, nil
}

func (c *cli) compileFile(ctx context.Context) error {
	out, format, err := c.compileTo()
	if err != nil {
		return err
	}
	wasm, err := c.read()
	if err != nil {
		return err
	}
	if IsArtifact(wasm) {
		return fmt.Errorf("%s: it is compiled already", c.title())
	}
	compiler, err := c.compiler()
	if err != nil {
		return err
	}
	config, err := c.engineConfig(compiler)
	if err != nil {
		return err
	}
	engine, err := c.engine(config)
	if err != nil {
		return err
	}
	defer engine.Close()
	module, err := c.compile(ctx, engine, wasm)
	if err != nil {
		return err
	}
	defer module.Close()
	if format == cliNative && out != "-" {
		return c.notWritten(out, module.SerializeTo(out))
	}
	var data []byte
	if format == cliNative {
		data, err = module.Serialize()
	} else {
		data, err = module.Embed(wasm)
	}
	switch {
	case err != nil:
		return err
	case out == "-":
		c.out.Write(data)
		return nil
	}
	return c.notWritten(out, writeFile(out, func(file *os.File) error {
		_, err := file.Write(data)
		return err
	}))
}

func (c *cli) notWritten(out string, err error) error {
	if err != nil {
		return cliExplain(out, err)
	}
	return nil
}

// compileTo finds the file to write, and its format.
func (c *cli) compileTo() (out, format string, err error) {
	out, format = c.value("o"), c.value("format")
	switch {
	case c.has("format") && format != cliNative && format != cliUniversal:
		return "", "", cliUsagef("there is no format %q; there are native and wasm", format)
	case c.has("o") && out == "":
		return "", "", cliUsagef("the name of the file to write is empty")
	case !c.has("o") && c.file == "-":
		out = "-"
	}
	if format == "" {
		format = cliUniversal
		if slices.Contains(cliNativeExtensions, strings.ToLower(filepath.Ext(out))) {
			format = cliNative
		}
	}
	if out == "" {
		suffix := cliWasmSuffix
		if format == cliNative {
			suffix = cliNativeSuffix
		}
		out = strings.TrimSuffix(c.file, filepath.Ext(c.file)) + suffix
	}
	source, sourceErr := os.Stat(c.file)
	if target, err := os.Stat(out); err == nil && sourceErr == nil && os.SameFile(source, target) && source.Mode().IsRegular() {
		return "", "", cliUsagef("%s would replace what it is made from; name another file with -o", out)
	}
	return out, format, nil
}

// runArtifact is run for compiled code.
func (c *cli) runArtifact(ctx context.Context, artifact []byte) error {
	info, err := InspectArtifact(artifact)
	if err != nil {
		return cliExplain(c.title(), err)
	}
	compiler, err := c.compiler()
	if err != nil {
		return err
	}
	config, err := c.engineConfig(compiler)
	if err != nil {
		return err
	}
	engine, err := c.engine(info.adapt(config))
	if err != nil {
		return err
	}
	defer engine.Close()
	defer c.report(engine)
	end, err := c.watch()
	if err != nil {
		return err
	}
	var module *Module
	if c.file == "-" {
		module, err = engine.Deserialize(ctx, artifact)
	} else {
		module, err = engine.DeserializeFile(ctx, c.file)
	}
	if err != nil {
		return end(cliExplain(c.title(), err))
	}
	defer module.Close()
	description := &ModuleInfo{description: module.description}
	if err := c.readLibrary(description); err != nil {
		return end(err)
	}
	stop, err := c.limitTime()
	if err != nil {
		return end(err)
	}
	defer stop()
	task, err := c.task(description)
	if err != nil {
		return end(err)
	}
	return end(c.runTask(ctx, module, task))
}

// adapt fills in what an engine must have to load the artifact, as far as that was not chosen.
func (a *ArtifactInfo) adapt(config EngineConfig) EngineConfig {
	if config.Compiler == DefaultCompiler {
		for _, compiler := range Compilers() {
			if compiler.String() == a.Compiler {
				config.Compiler = compiler
			}
		}
	}
	config.Memories = a.Memories
	if config.OptLevel == OptDefault {
		config.OptLevel = a.OptLevel
	}
	config.CanonicalizeNaNs = a.CanonicalizeNaNs
	return config
}

// artifactRows are what inspect shows of an artifact.
func artifactRows(a *ArtifactInfo) [][]string {
	words := func(on bool, word string) string {
		if on {
			return word
		}
		return "no"
	}
	options := []string{a.OptLevel.String()}
	if a.CanonicalizeNaNs {
		options = append(options, "canonical NaNs")
	}
	return [][]string{
		{"wasmer-go", a.Version + ", build " + a.Build},
		{"compiler", a.Compiler + ", " + strings.Join(options, ", ")},
		{"target", a.Target},
		{"cpu", strings.Join(a.CPUFeatures, " ")},
		{"memories", a.Memories.String()},
		{"metering", words(a.Metered, "yes")},
		{"key", words(a.Keyed, "needed")},
		{"code", fmt.Sprintf("%d bytes", a.Size)},
		{"module", "BLAKE3 " + hex.EncodeToString(a.ModuleDigest[:])},
	}
}

// inspectArtifact shows what an artifact says of itself.
func (c *cli) inspectArtifact(artifact []byte) error {
	info, err := InspectArtifact(artifact)
	if err != nil {
		return cliExplain(c.title(), err)
	}
	if c.has("json") {
		return c.writeIndented(newCLIArtifact(info))
	}
	c.out.WriteString("compiled code:\n" + cliTable(artifactRows(info)) + "\n")
	return nil
}

// cliArtifact is an artifact for programs.
type cliArtifact struct {
	Version      string   `json:"version"`
	Build        string   `json:"build"`
	Compiler     string   `json:"compiler"`
	OptLevel     string   `json:"opt_level"`
	Target       string   `json:"target"`
	CPU          []string `json:"cpu"`
	Memories     string   `json:"memories"`
	Metered      bool     `json:"metered"`
	Keyed        bool     `json:"keyed"`
	Size         uint64   `json:"size"`
	ModuleDigest string   `json:"module_digest"`
}

func newCLIArtifact(a *ArtifactInfo) cliArtifact {
	return cliArtifact{
		Version: a.Version, Build: a.Build, Compiler: a.Compiler, OptLevel: a.OptLevel.String(), Target: a.Target,
		CPU: append([]string{}, a.CPUFeatures...), Memories: a.Memories.String(), Metered: a.Metered, Keyed: a.Keyed, Size: a.Size,
		ModuleDigest: hex.EncodeToString(a.ModuleDigest[:]),
	}
}

// embeddedArtifacts are what a module's sections of compiled code say; those that cannot be read are left out.
func embeddedArtifacts(module *ModuleInfo) []*ArtifactInfo {
	var all []*ArtifactInfo
	for _, content := range module.CustomSections(artifactSection) {
		if info, err := InspectArtifact(content); err == nil {
			all = append(all, info)
		}
	}
	return all
}
