package wasmer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/wasmerio/go-ext-wasm/wasmer/internal/ffi"
)

// PluginPathEnv names the environment variable with the libraries and folders that LoadDefaultPlugins looks at first.
const PluginPathEnv = "WASMER_GO_PLUGIN_PATH"

// libraries are those that are loaded, with the plug-ins that they are. One is loaded at a time.
var libraries struct {
	sync.Mutex
	plugins map[ffi.Library]*Plugin
}

// LoadPlugins loads native plug-ins: the shared library at the path, or all in the folder there and in those below it, in the order
// of their paths. The header wasmer_plugin.h, which lies beside the Go files of this package, says how one is made. Loading runs
// code of the library, with all rights of the process: load only what you trust.
//
// It returns the plug-ins that it has found, those that were loaded before included, and an error that joins a *PluginError for each
// library that is none. Libraries are never unloaded: what guests call stays.
func LoadPlugins(path string) ([]*Plugin, error) {
	found, failed := loadPlugins(path)
	return found, errors.Join(failed...)
}

func loadPlugins(path string) (found []*Plugin, failed []error) {
	paths, failed := librariesAt(path)
	for _, path := range paths {
		if plugin, err := loadPlugin(path); err != nil {
			failed = append(failed, err)
		} else {
			found = append(found, plugin)
		}
	}
	return found, failed
}

// LoadDefaultPlugins is LoadPlugins for the libraries and folders that the environment variable WASMER_GO_PLUGIN_PATH lists, as PATH
// lists folders; then for the folder ../plugin beside that of the program; then, if the program is below /usr or /usr/local, for the
// folder lib/wasmer-go there. Of several plug-ins with one name the first counts. Folders that are not there are passed over, but
// for those of the variable. A program that runs with the rights of another user ignores the variable.
func LoadDefaultPlugins() ([]*Plugin, error) {
	var found []*Plugin
	var failed []error
	load := func(path string) {
		plugins, errs := loadPlugins(path)
		found = append(found, plugins...)
		failed = append(failed, slices.DeleteFunc(errs, func(err error) bool { return errors.Is(err, ErrNameTaken) })...)
	}
	if os.Getuid() == os.Geteuid() && os.Getgid() == os.Getegid() {
		for _, path := range filepath.SplitList(os.Getenv(PluginPathEnv)) {
			if path != "" {
				load(path)
			}
		}
	}
	program, err := os.Executable()
	if err != nil {
		return found, errors.Join(append(failed, &PluginError{Message: "the program's folder is unknown: " + err.Error(), Err: err})...)
	}
	for _, folder := range pluginFolders(program) {
		if info, err := os.Stat(folder); err == nil && info.IsDir() {
			load(folder)
		}
	}
	return found, errors.Join(failed...)
}

// pluginFolders are those that a program looks at.
func pluginFolders(program string) []string {
	folders := []string{filepath.Join(filepath.Dir(program), "..", "plugin")}
	for _, prefix := range []string{"/usr/local", "/usr"} {
		if strings.HasPrefix(program, prefix+"/") {
			return append(folders, prefix+"/lib/wasmer-go")
		}
	}
	return folders
}

// librariesAt lists what LoadPlugins loads, by paths that are not relative.
func librariesAt(path string) (paths []string, failed []error) {
	fail := func(path string, err error) {
		failed = append(failed, &PluginError{Path: path, Message: err.Error(), Err: err})
	}
	if path == "" {
		fail("", errors.New("the path of the library is empty"))
		return nil, failed
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		fail(path, err)
		return nil, failed
	}
	info, err := os.Stat(absolute)
	if err != nil {
		fail(path, err)
		return nil, failed
	}
	if !info.IsDir() {
		return []string{absolute}, nil
	}
	// The separator has a folder looked into that is a link.
	_ = filepath.WalkDir(absolute+string(filepath.Separator), func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			fail(path, err)
		} else if filepath.Ext(path) == libraryExtension() && isFile(path) {
			paths = append(paths, path)
		}
		return nil
	})
	return paths, failed
}

// isFile follows links: it is how libraries are installed.
func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func libraryExtension() string {
	if runtime.GOOS == "darwin" {
		return ".dylib"
	}
	return ".so"
}

// loadPlugin loads the library at an absolute path.
func loadPlugin(path string) (*Plugin, error) {
	plugin := &Plugin{path: path}
	if !isFile(path) { // a pipe could have the loader wait for ever
		return nil, plugin.error("it is no file", nil)
	}
	if truncated(path) {
		return nil, plugin.error("it cannot be loaded as a shared library: the file is shorter than it says", nil)
	}
	libraries.Lock()
	defer libraries.Unlock()
	library, described, err := ffi.LoadPlugin(path)
	if err != nil {
		return nil, plugin.refused(err)
	}
	if known := libraries.plugins[library]; known != nil {
		library.Unload()
		return known, nil
	}
	if err := plugin.describe(described); err != nil {
		library.Unload()
		return nil, err
	}
	if libraries.plugins == nil {
		libraries.plugins = map[ffi.Library]*Plugin{}
	}
	libraries.plugins[library] = plugin
	return plugin, nil
}

// refused is the package's error for a library that is no plug-in.
func (p *Plugin) refused(err error) error {
	var e *ffi.Error
	if !errors.As(err, &e) {
		return p.error(err.Error(), err)
	}
	switch e.Kind {
	case ffi.KindUnsupported:
		return p.error(e.Message, ErrUnsupported)
	case ffi.KindLink:
		return p.error(e.Message, ErrNotFound)
	}
	return p.error(e.Message, nil)
}

// describe registers the plug-in as what its library says.
func (p *Plugin) describe(described *ffi.Plugin) error {
	p.config = PluginConfig{
		Name: described.Name, Version: described.Version, Description: described.Description,
		Modules: map[string]func() (HostModule, error){},
	}
	for i := range described.Modules {
		module := &described.Modules[i]
		made, problem := newNativeModule(module)
		if problem == "" && p.config.Modules[module.Name] != nil {
			problem = fmt.Sprintf("there are several modules %q", module.Name)
		}
		if problem != "" {
			return p.error(problem, nil)
		}
		p.config.Modules[module.Name] = func() (HostModule, error) { return made, nil }
	}
	return p.register()
}
