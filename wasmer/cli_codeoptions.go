package wasmer

import (
	"math"
	"strconv"
	"strings"
)

// cliCodeOptions are the options of commands that compile.
func cliCodeOptions() []cliOption {
	return []cliOption{
		{name: "O", value: "OPT", summary: "how much is done for the code: 0, 1, 2, 3, s, z, or none, less, more,\nspeed, speed-and-size, size; not each compiler has each"},
		{name: "target", value: "TRIPLE", summary: "the machine to make code for, as aarch64-unknown-linux-gnu;\nits code can be kept, but not run here"},
		{name: "cpu", value: "CPU", summary: "what the code may use: native, generic, or features as sse4.2,avx"},
		{name: "canonicalize-nans", summary: "let floats have the same bits on all machines"},
		{name: "verify-ir", summary: "let the compiler check its intermediate code"},
		{name: "dump-ir", value: "DIR", summary: "write the compiler's intermediate code into a folder"},
		{name: "compile-threads", value: "N", summary: "compile on so many threads; else one a core"},
	}
}

// codeOptions fills in what they say.
func (c *cli) codeOptions(config *EngineConfig) error {
	if c.has("O") {
		level, err := ParseOptLevel(c.value("O"))
		if err != nil {
			return cliUsagef("-O: %s", strings.TrimPrefix(err.Error(), "wasmer: "))
		}
		config.OptLevel = level
	}
	for name, field := range map[string]*string{
		"target": &config.Target.Triple, "cpu": &config.Target.CPU, "dump-ir": &config.DumpIR,
	} {
		if c.has(name) {
			if *field = c.value(name); *field == "" {
				return cliUsagef("--%s is empty", name)
			}
		}
	}
	config.CanonicalizeNaNs = c.has("canonicalize-nans")
	config.VerifyIR = c.has("verify-ir")
	if c.has("compile-threads") {
		threads, err := strconv.ParseUint(c.value("compile-threads"), 10, 31)
		if err != nil || threads == 0 {
			return cliUsagef("--compile-threads %q is no number of threads, from 1 to %d", c.value("compile-threads"), math.MaxInt32)
		}
		config.CompileThreads = int(threads)
	}
	return nil
}
