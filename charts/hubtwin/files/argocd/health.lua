-- Health of a hubtwin object, from the conditions Ready, Reconciling and Stalled.
local health = {status = "Progressing", message = "not looked at yet"}
local status = obj.status
if status == nil or status.conditions == nil then
  return health
end
if status.observedGeneration ~= nil and status.observedGeneration < obj.metadata.generation then
  health.message = "the newest generation was not looked at yet"
  return health
end
local found = {}
for _, condition in ipairs(status.conditions) do
  found[condition.type] = condition
end
local ready = found["Ready"]
if ready == nil then
  return health
end
health.message = ready.reason .. ": " .. (ready.message or "")
if ready.reason == "Suspended" then
  health.status = "Suspended"
elseif ready.status == "True" then
  health.status = "Healthy"
elseif found["Stalled"] ~= nil and found["Stalled"].status == "True" then
  health.status = "Degraded"
end
return health
