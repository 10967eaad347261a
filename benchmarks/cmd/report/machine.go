package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// machine is what a reader must know to judge the numbers.
type machine struct {
	date, cpu, platform, load, goVersion string
	library, wazero, wasmtime            string
	cCompilers                           string
	cores                                int
}

func describe(folder string) machine {
	return machine{
		date:      time.Now().UTC().Format(time.DateOnly),
		cpu:       cpuModel(),
		cores:     runtime.NumCPU(),
		platform:  runtime.GOOS + "/" + runtime.GOARCH,
		load:      loadAverage(),
		goVersion: runtime.Version(),
		library:   revision(folder),
		wazero:    moduleVersion(folder, "github.com/tetratelabs/wazero"),
		wasmtime:  moduleVersion(folder, "github.com/bytecodealliance/wasmtime-go/v39"),
		cCompilers: strings.Join([]string{
			nativeCC + " " + firstLine("cc", "--version"), nativeClang + " " + firstLine("clang", "--version"), "flags " + flags(folder),
		}, "; "),
	}
}

const unknown = "unknown"

func cpuModel() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return unknown
	}
	for line := range strings.Lines(string(info)) {
		if name, model, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(model)
		}
	}
	return unknown
}

func loadAverage() string {
	load, err := os.ReadFile("/proc/loadavg")
	fields := strings.Fields(string(load))
	if err != nil || len(fields) == 0 {
		return unknown
	}
	return fields[0]
}

func moduleVersion(folder, path string) string {
	version, err := output(folder, "go", "list", "-m", "-f", "{{.Version}}", path)
	if err != nil {
		return unknown
	}
	return version
}

func firstLine(name string, args ...string) string {
	printed, err := output("", name, args...)
	if err != nil {
		return unknown
	}
	line, _, _ := strings.Cut(printed, "\n")
	return line
}

// flags are what all C is compiled with.
func flags(folder string) string {
	text, err := os.ReadFile(filepath.Join(folder, "..", "testdata", "compute", "flags"))
	if err != nil {
		return unknown
	}
	return "`" + strings.TrimSpace(string(text)) + "`"
}

// revision is the commit that the library is built from: its version is always v0.0.0 here.
func revision(folder string) string {
	commit, err := output(folder, "git", "describe", "--always", "--dirty", "--tags")
	if err != nil {
		return unknown
	}
	return commit
}
