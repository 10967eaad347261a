// Package suite runs the scripts of WebAssembly's official test suite on any runtime.
package suite

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/wasmerio/go-ext-wasm/conformance/internal/data"
	"github.com/wasmerio/go-ext-wasm/conformance/internal/tools"
)

// A Script is one file of the suite.
type Script struct {
	// Name is the file's path below the suite's folder, without its extension.
	Name     string
	Commands []Command
}

// A Command is one directive of a script. Type says which fields are set.
type Command struct {
	Type string `json:"type"`
	Line int    `json:"line"`
	// Name is the module's, or the thread's.
	Name string `json:"name"`
	// Text is the failure that the suite expects, in the words of the reference interpreter.
	Text     string  `json:"text"`
	Action   *Action `json:"action"`
	Expected []Const `json:"expected"`

	// As is the name that "register" gives.
	As string `json:"as"`
	// Instance is what "module_instance" makes from Module.
	Instance string `json:"instance"`
	Module   string `json:"module"`

	// Thread is what "wait" waits for.
	Thread       string    `json:"thread"`
	SharedModule string    `json:"shared_module"`
	Commands     []Command `json:"commands"`

	Filename       string `json:"filename"`
	ModuleType     string `json:"module_type"`
	BinaryFilename string `json:"binary_filename"`

	// Source is the module, text if the script has it as text.
	Source Source `json:"-"`
}

// Source is a module.
type Source struct {
	// Binary is nil for text that cannot be translated.
	Binary []byte
	// Text is nil for what the suite gives as binary or as part of the script.
	Text []byte
}

// An Action calls an export or reads a global.
type Action struct {
	Type   string  `json:"type"`
	Module string  `json:"module"`
	Field  string  `json:"field"`
	Args   []Const `json:"args"`
}

// Load converts and reads all scripts of the suite, in the order of their names. The suite lies in the folder spec of the
// test data.
func Load(repository string) ([]Script, error) {
	folder, err := data.Find(repository, "spec")
	if err != nil {
		return nil, err
	}
	converted, err := os.MkdirTemp("", "wasmer-go-suite")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(converted)
	if err := tools.Wast2JSON(folder, converted); err != nil {
		return nil, err
	}
	return read(converted)
}

func read(folder string) ([]Script, error) {
	var scripts []Script
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Name() != "script.json" {
			return err
		}
		script, err := readScript(filepath.Dir(path))
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		name, err := filepath.Rel(folder, filepath.Dir(path))
		script.Name = filepath.ToSlash(name)
		scripts = append(scripts, script)
		return err
	})
	return scripts, err
}

func readScript(folder string) (Script, error) {
	var script Script
	document, err := os.ReadFile(filepath.Join(folder, "script.json"))
	if err != nil {
		return script, err
	}
	if err := json.Unmarshal(document, &script); err != nil {
		return script, err
	}
	return script, readModules(folder, script.Commands)
}

func readModules(folder string, commands []Command) (err error) {
	for i := range commands {
		c := &commands[i]
		if err := readModules(folder, c.Commands); err != nil {
			return err
		}
		binary, text := c.Filename, ""
		if c.ModuleType == "text" {
			binary, text = c.BinaryFilename, c.Filename
		}
		if c.Source.Binary, err = readModule(folder, binary); err != nil {
			return err
		}
		if c.Source.Text, err = readModule(folder, text); err != nil {
			return err
		}
	}
	return nil
}

func readModule(folder, name string) ([]byte, error) {
	if name == "" {
		return nil, nil
	}
	module, err := os.ReadFile(filepath.Join(folder, name))
	if module == nil && err == nil {
		module = []byte{} // an empty module is one
	}
	return module, err
}
