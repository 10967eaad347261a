package wasmer

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Plugin offers modules of host functions under a name, so that a program finds them without knowing who made them. It is
// written in Go and registers itself when it is imported (RegisterPlugin), or comes from a shared library (LoadPlugins). It stays
// until the process ends. Goroutines may share it; of a nil one everything is empty.
type Plugin struct {
	config PluginConfig
	path   string
}

// PluginConfig describes a plug-in written in Go.
type PluginConfig struct {
	// Name is what FindPlugin finds it by: 1 to 256 bytes of printable text.
	Name string
	// Version and Description are for people, up to 4096 bytes; empty if there is none.
	Version, Description string
	// Modules make the plug-in's host modules, by the names that guests import them by. A function here is called by
	// Plugin.NewModule, by several goroutines at once if need be.
	Modules map[string]func() (HostModule, error)
}

// PluginError says why a plug-in cannot be had. It is fs.ErrNotExist for a missing file, ErrNotFound for a missing symbol or
// module, ErrUnsupported for another version of the interface, or a platform without native plug-ins, and ErrNameTaken for a
// name that another plug-in has.
type PluginError struct {
	// Path is the library's; empty for plug-ins written in Go.
	Path string
	// Name is the plug-in's, as far as it is known.
	Name string
	// Message is what is wrong.
	Message string
	// Err is what the error is for errors.Is; may be nil.
	Err error
}

func (e *PluginError) Error() string {
	at := "wasmer: plug-in"
	if e.Name != "" {
		at += fmt.Sprintf(" %q", e.Name)
	}
	if e.Path != "" {
		at += " of " + e.Path
	}
	return at + ": " + e.Message
}

// Unwrap gives Err.
func (e *PluginError) Unwrap() error { return e.Err }

// plugins are those of the process, by name.
var plugins struct {
	sync.RWMutex
	named map[string]*Plugin
}

// RegisterPlugin makes a plug-in known to ListPlugins and FindPlugin. A package that brings one calls it in an init function.
// The error is a *PluginError.
func RegisterPlugin(config PluginConfig) error {
	config.Modules = maps.Clone(config.Modules)
	return (&Plugin{config: config}).register()
}

func (p *Plugin) register() error {
	if problem := p.config.problem(); problem != "" {
		return p.error(problem, nil)
	}
	plugins.Lock()
	defer plugins.Unlock()
	if other := plugins.named[p.config.Name]; other != nil {
		return p.error("the name is taken by a plug-in "+cmp.Or(other.path, "written in Go"), ErrNameTaken)
	}
	if plugins.named == nil {
		plugins.named = map[string]*Plugin{}
	}
	plugins.named[p.config.Name] = p
	return nil
}

func (p *Plugin) error(message string, err error) *PluginError {
	return &PluginError{Path: p.Path(), Name: p.Name(), Message: message, Err: err}
}

// The longest names and texts of plug-ins, in bytes.
const (
	maxPluginName = 256
	maxPluginText = 4096
)

// problem says what is wrong with the plug-in; empty if nothing is.
func (c *PluginConfig) problem() string {
	if problem := nameProblem(c.Name); problem != "" {
		return "its name " + problem
	}
	for _, text := range []string{c.Version, c.Description} {
		if len(text) > maxPluginText || !utf8.ValidString(text) {
			return fmt.Sprintf("its version or description is longer than %d bytes, or no UTF-8", maxPluginText)
		}
	}
	if len(c.Modules) == 0 {
		return "it has no modules"
	}
	for _, name := range slices.Sorted(maps.Keys(c.Modules)) {
		if problem := nameProblem(name); problem != "" {
			return fmt.Sprintf("the name of a module %s", problem)
		}
		if c.Modules[name] == nil {
			return fmt.Sprintf("module %q is made by a nil function", name)
		}
	}
	return ""
}

func nameProblem(name string) string {
	switch {
	case name == "":
		return "is empty"
	case len(name) > maxPluginName:
		return fmt.Sprintf("is longer than %d bytes: %.32q...", maxPluginName, name)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Sprintf("is no printable text: %q", name)
	}
	return ""
}

// ListPlugins lists the names of the plug-ins that are registered or loaded, in order.
func ListPlugins() []string {
	plugins.RLock()
	defer plugins.RUnlock()
	return slices.Sorted(maps.Keys(plugins.named))
}

// FindPlugin finds a plug-in by its name; nil if there is none.
func FindPlugin(name string) *Plugin {
	plugins.RLock()
	defer plugins.RUnlock()
	return plugins.named[name]
}

// Name is the plug-in's name.
func (p *Plugin) Name() string { return p.get().Name }

// Version is the plug-in's version as it says itself; may be empty.
func (p *Plugin) Version() string { return p.get().Version }

// Description says what the plug-in is for; may be empty.
func (p *Plugin) Description() string { return p.get().Description }

// Path is the file of the library that the plug-in was loaded from; empty for one written in Go.
func (p *Plugin) Path() string {
	if p == nil {
		return ""
	}
	return p.path
}

// Modules lists the names of the plug-in's modules, in order. Guests import them by these names.
func (p *Plugin) Modules() []string { return slices.Sorted(maps.Keys(p.get().Modules)) }

// NewModule makes a module of the plug-in, for Imports.Add. The error is a *PluginError, ErrNotFound if there is no such module.
func (p *Plugin) NewModule(name string) (HostModule, error) {
	newModule := p.get().Modules[name]
	if newModule == nil {
		return nil, p.error(fmt.Sprintf("there is no module %q, but %q", name, p.Modules()), ErrNotFound)
	}
	module, err := newModule()
	if err != nil {
		return nil, p.error(fmt.Sprintf("module %q: %v", name, err), err)
	}
	if module == nil {
		return nil, p.error(fmt.Sprintf("module %q: none was made", name), nil)
	}
	return module, nil
}

func (p *Plugin) get() PluginConfig {
	if p == nil {
		return PluginConfig{}
	}
	return p.config
}
