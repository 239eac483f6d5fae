package main

import (
	"fmt"

	lua "github.com/yuin/gopher-lua"
)

// health runs a health check of Argo CD's as Argo CD does: Lua 5.1, with the object as the global obj, which returns a
// table with status and message.
func health(script string, object map[string]any) (status, message string, err error) {
	state := lua.NewState()
	defer state.Close()
	state.SetGlobal("obj", value(state, object))
	if err := state.DoString(script); err != nil {
		return "", "", fmt.Errorf("run the health check: %w", err)
	}
	table, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return "", "", fmt.Errorf("the health check returns a %s and no table", state.Get(-1).Type())
	}
	return lua.LVAsString(table.RawGetString("status")), lua.LVAsString(table.RawGetString("message")), nil
}

func value(state *lua.LState, found any) lua.LValue {
	switch found := found.(type) {
	case map[string]any:
		table := state.NewTable()
		for key, each := range found {
			table.RawSetString(key, value(state, each))
		}
		return table
	case []any:
		table := state.NewTable()
		for _, each := range found {
			table.Append(value(state, each))
		}
		return table
	case string:
		return lua.LString(found)
	case bool:
		return lua.LBool(found)
	case int64:
		return lua.LNumber(found)
	case float64:
		return lua.LNumber(found)
	default:
		return lua.LNil
	}
}
