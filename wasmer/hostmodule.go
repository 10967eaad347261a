package wasmer

import "fmt"

// HostModule defines functions that guests import: an extension, or a module of a plug-in.
type HostModule interface {
	// AddTo defines them, under the module name that guests know.
	AddTo(imports *Imports)
}

// Add defines what host modules bring. The current module name stays as it is.
func (i *Imports) Add(modules ...HostModule) *Imports {
	if i == nil {
		return nil
	}
	for _, module := range modules {
		i.mu.Lock()
		namespace := i.namespace
		if module == nil {
			i.keep(fmt.Errorf("wasmer: imports: a host module is nil"))
		}
		i.mu.Unlock()
		if module != nil {
			module.AddTo(i)
			i.Namespace(namespace)
		}
	}
	return i
}
