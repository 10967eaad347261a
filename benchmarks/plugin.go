package benchmarks

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// plugin is the host function env.f of a native plug-in, from an i32 to an i32.
type plugin struct {
	library func() (*wasmer.Plugin, error)
}

func newPlugin(name, flags string) plugin {
	return plugin{sync.OnceValues(func() (*wasmer.Plugin, error) { return buildPlugin(name, flags) })}
}

var (
	ordinaryPlugin = newPlugin("ordinary", "0")
	leafPlugin     = newPlugin("leaf", "WASMER_PLUGIN_LEAF")
)

const pluginSource = `
#include "wasmer_plugin.h"

static int32_t add_one(wasmer_native_call *call, int32_t x) { (void)call; return x + 1; }

static const wasmer_plugin_function function = {"f", "i32", "i32", WASMER_PLUGIN_FUNCTION(add_one), FLAGS};
static const wasmer_plugin_module module = {"env", &function, 1, NULL, NULL};
static const wasmer_plugin plugin = {WASMER_PLUGIN_ABI, NAME, NULL, NULL, &module, 1};

WASMER_PLUGIN_EXPORT const wasmer_plugin *wasmer_plugin_describe(void) { return &plugin; }
`

// buildPlugin makes the plug-in with the system's C compiler, and loads it.
func buildPlugin(name, flags string) (*wasmer.Plugin, error) {
	headers, err := filepath.Abs("../wasmer")
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "plugin")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder) // what is loaded stays
	library := filepath.Join(folder, name+".so")
	build := exec.Command("cc", "-O2", "-shared", "-fPIC", "-I", headers, "-DFLAGS="+flags, fmt.Sprintf("-DNAME=%q", "benchmarks_"+name), "-o", library, "-x", "c", "-")
	build.Stdin = strings.NewReader(pluginSource)
	if printed, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%v: %w\n%s", build, err, printed)
	}
	found, err := wasmer.LoadPlugins(library)
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

func (p plugin) addTo(imports *wasmer.Imports) error {
	loaded, err := p.library()
	if err != nil {
		return err
	}
	module, err := loaded.NewModule("env")
	if err != nil {
		return err
	}
	imports.Add(module)
	return nil
}
